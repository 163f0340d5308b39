"""The one exception a user is meant to read."""


class AnceError(Exception):
    """Something the user can mend. The message names the file, line or key and says what to do.

    Commands and services print the message on one line, without a traceback, and exit with code 2.
    """


class TemporaryError(AnceError):
    """A server is away, which passes by itself. Services exit with code 75, so that a supervisor tries again."""
