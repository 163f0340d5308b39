"""Bodies of the probes."""

from typing import Literal

from services.search_api.models.base import Body


class Status(Body):
    """A probe that says yes. One that says no is a problem with status 503."""

    status: Literal["ok", "started", "ready"]


class Version(Body):
    """What runs."""

    version: str
    """Of the software."""
    run: str
    index: int | None
    """Version of the index being served."""
