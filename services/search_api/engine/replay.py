"""Reranking a small share of the live dense queries in the background, so that latencies are of the same traffic."""

from __future__ import annotations

import asyncio
import logging
import random
import time

from services.search_api.engine.errors import NotReady, Overloaded
from services.search_api.engine.latency import LatencyLog
from services.search_api.engine.pipeline import Pipeline
from services.search_api.models.search import SearchRequest, SearchResponse

log = logging.getLogger(__name__)


class Replay:
    """Replays one query at a time, and none while anybody waits for the cross-encoder.

    Args:
        share: of the live queries, 0 for none.
        per_minute: at most so many.
        rng: draws the share.
    """

    def __init__(
        self, pipeline: Pipeline, latency: LatencyLog, share: float, per_minute: float, rng: random.Random
    ) -> None:
        self._pipeline, self._latency = pipeline, latency
        self._share, self._pause, self._rng = share, 60 / per_minute, rng
        self._not_before = 0.0
        self._running: asyncio.Task[None] | None = None

    def consider(self, request: SearchRequest, response: SearchResponse) -> None:
        """Perhaps replay a search that was just answered."""
        if request.mode != "dense" or request.query is None or self._rng.random() >= self._share:
            return
        busy = self._running is not None and not self._running.done()
        if busy or time.monotonic() < self._not_before or not self._pipeline.reranker_idle:
            return
        self._not_before = time.monotonic() + self._pause
        self._running = asyncio.create_task(self._replay(request, response.timings.total))

    def cancel(self) -> None:
        """Give up what is being replayed."""
        if self._running is not None:
            self._running.cancel()

    async def _replay(self, request: SearchRequest, dense_seconds: float) -> None:
        again = request.model_copy(update={"mode": "rerank"})
        try:
            response = await self._pipeline.search(again)
        except (NotReady, Overloaded) as error:
            log.debug("not replayed: %s", error)
            return
        self._latency.add_pair(dense_seconds, response.timings.total)
