"""Probes and the version of what runs."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus

from fastapi import APIRouter

from ance import __version__
from services.search_api.engine.errors import NotReady
from services.search_api.models.health import Status, Version
from services.search_api.service import SearchService
from services.search_api.web.problems import DRAINING, ProblemError, documented


def router(service: SearchService, draining: Callable[[], bool]) -> APIRouter:
    """/healthz, /readyz, /startupz and /version.

    Args:
        draining: whether the process is about to end.
    """
    routes = APIRouter(tags=["health"])
    unavailable = documented(HTTPStatus.SERVICE_UNAVAILABLE)

    @routes.get("/healthz")
    async def healthz() -> Status:
        """The process answers."""
        return Status(status="ok")

    @routes.get("/startupz", responses=unavailable)
    async def startupz() -> Status:
        """The documents are open. An index may be hours away: that is for /readyz."""
        if not service.corpus.is_open:
            raise NotReady("documents", "The documents are not loaded yet.")
        return Status(status="started")

    @routes.get("/readyz", responses=unavailable)
    async def readyz() -> Status:
        """An index is loaded and the process is not about to end."""
        if draining():
            raise ProblemError(HTTPStatus.SERVICE_UNAVAILABLE, DRAINING, "The service is shutting down.")
        if service.indexes.current is None:
            raise NotReady("index", "No index is loaded yet.")
        return Status(status="ready")

    @routes.get("/version", responses=documented(HTTPStatus.INTERNAL_SERVER_ERROR))
    async def version() -> Version:
        """Of the software, and of the index that it serves."""
        snapshot = service.indexes.current
        return Version(
            version=__version__, run=service.run.config.run, index=None if snapshot is None else snapshot.step
        )

    return routes
