"""The one exception a user is meant to read."""


class AnceError(Exception):
    """Something the user can mend. The message names the file, line or key and says what to do.

    Commands and services print the message on one line, without a traceback, and exit with code 2.
    """
