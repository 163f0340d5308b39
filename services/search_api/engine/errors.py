"""Why the engine does not answer."""

from typing import Literal

Missing = Literal["index", "bm25", "reranker", "documents"]


class NotReady(Exception):
    """What the request needs is not loaded: not published yet, still loading, or switched off."""

    def __init__(self, missing: Missing, detail: str) -> None:
        super().__init__(detail)
        self.missing = missing


class Overloaded(Exception):
    """More is in work or waiting than the service takes on."""

    def __init__(self, detail: str, retry_after: int) -> None:
        super().__init__(detail)
        self.retry_after = retry_after
        """Seconds after which a client should try again."""


class Unsupported(Exception):
    """What is loaded cannot do what the request asks for."""
