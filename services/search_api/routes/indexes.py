"""The versions of the index, and holding all replicas at one of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from http import HTTPStatus
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Body

from ance.errors import AnceError
from ance.runtime.contracts import Manifest
from services.search_api.engine.passages import utc
from services.search_api.models.indexes import IndexList, IndexVersion, PinState, RollbackRequest
from services.search_api.service import SearchService
from services.search_api.versions.listing import published_indexes
from services.search_api.versions.pin import UnknownVersion, remove_pin, write_pin
from services.search_api.web.openapi import CHEAP
from services.search_api.web.problems import STORE, UNKNOWN_VERSION, ProblemError, documented

T = TypeVar("T")

EXAMPLES: dict[str, Any] = {
    "an earlier version": {"value": {"version": 300}},
    "the best on dev": {"value": {"version": "best"}},
}


def router(service: SearchService) -> APIRouter:
    """/v1/indexes."""
    routes = APIRouter(tags=["indexes"], responses=documented(*CHEAP))
    indexes = service.indexes

    @routes.get("/v1/indexes")
    async def list_indexes() -> IndexList:
        """The versions in the store, the newest first, and which one this replica serves."""
        manifests = await asking_store(lambda: published_indexes(service.run))
        return IndexList(
            serving=_serving(service),
            pinned=indexes.pinned,
            swap=indexes.state,
            indexes=tuple(_describe(manifest, service) for manifest in manifests),
        )

    @routes.post("/v1/indexes/rollback", responses=documented(HTTPStatus.NOT_FOUND, *CHEAP))
    async def rollback(request: Annotated[RollbackRequest, Body(openapi_examples=EXAMPLES)]) -> PinState:
        """Hold every replica at a version, whatever is published later. Each swaps at its next look at the store."""
        try:
            ref = await asking_store(lambda: write_pin(service.run, request.version))
        except UnknownVersion as error:
            raise ProblemError(HTTPStatus.NOT_FOUND, UNKNOWN_VERSION, f"{error}.") from error
        indexes.wake()
        return PinState(pinned=ref.step, serving=_serving(service))

    @routes.post("/v1/indexes/unpin")
    async def unpin() -> PinState:
        """End a rollback: every replica goes to the newest version."""
        await asking_store(lambda: remove_pin(service.run))
        indexes.wake()
        return PinState(pinned=None, serving=_serving(service))

    return routes


async def asking_store(work: Callable[[], T]) -> T:
    """The result of work with the store, off the event loop.

    Raises:
        ProblemError: the store does not answer, is damaged or, for a change, read-only.
    """
    try:
        return await asyncio.to_thread(work)
    except (AnceError, OSError) as error:
        raise ProblemError(HTTPStatus.SERVICE_UNAVAILABLE, STORE, str(error), {"Retry-After": "5"}) from error


def _serving(service: SearchService) -> int | None:
    snapshot = service.indexes.current
    return None if snapshot is None else snapshot.step


def _describe(manifest: Manifest, service: SearchService) -> IndexVersion:
    indexes, step = service.indexes, manifest.step
    reason = indexes.refusal(manifest)
    state = "published"
    if step == _serving(service):
        state = "serving"
    elif reason:
        state = "refused"
    elif step == indexes.previous_step:
        state = "previous"
    return IndexVersion.model_validate(
        {
            "version": step,
            "created_at": utc(manifest.created_at),
            "state": state,
            "reason": reason,
            "dev": manifest.stats.get("dev") or {},
        }
    )
