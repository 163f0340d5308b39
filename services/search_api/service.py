"""The parts of a search replica, and how they stand on each other. Knows no HTTP."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext, suppress

from ance.runtime.kubernetes.events import Announce, unheard
from ance.runtime.metrics import SearchMetrics
from ance.runtime.news import NewsListener
from ance.runtime.run import OpenRun
from services.search_api.engine.dense import DenseSearch
from services.search_api.engine.latency import LatencyLog
from services.search_api.engine.pipeline import Pipeline
from services.search_api.engine.replay import Replay
from services.search_api.engine.reranking import Reranking
from services.search_api.engine.sparse import SparseSearch
from services.search_api.settings import SearchSettings
from services.search_api.training_report import TrainingReporter
from services.search_api.versions.corpus import Corpus
from services.search_api.versions.follower import IndexFollower
from services.search_api.versions.reranker import RerankerFollower


class SearchService:
    """What the endpoints stand on.

    Args:
        announce: tells operators of a refused version.
    """

    def __init__(self, run: OpenRun[SearchSettings], metrics: SearchMetrics, announce: Announce = unheard) -> None:
        settings = run.settings
        self.run = run
        self.corpus = Corpus(run)
        self.indexes = IndexFollower(run, metrics, self.corpus, announce)
        self._news = _news(run, self.indexes)
        self.latency = LatencyLog(metrics.rerank_speed_up)
        self.training = TrainingReporter(run)
        self._reranker = RerankerFollower(run)
        self._dense = DenseSearch(
            lambda: self.indexes.current,
            metrics,
            batch_tokens=settings.batch_tokens,
            wait_seconds=settings.batch_wait_seconds,
        )
        self._sparse = SparseSearch(self.corpus.bm25, self.corpus.passages)
        self._reranking = Reranking(self._reranker.current)
        self.pipeline = Pipeline(
            settings,
            run.config.model,
            metrics,
            self._dense,
            self._sparse,
            self._reranking,
            self.corpus.passages,
            self.latency,
        )
        self.replay = Replay(
            self.pipeline, self.latency, settings.replay_share, settings.replays_per_minute, random.Random()
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Follow the store and answer, in the block."""
        followers = (self.corpus, self.indexes, self._reranker)
        for follower in followers:
            follower.start()
        serving = asyncio.create_task(self._dense.serve())
        try:
            with self._news or nullcontext():
                yield
        finally:
            self.replay.cancel()
            serving.cancel()
            with suppress(asyncio.CancelledError):
                await serving
            await asyncio.gather(*(asyncio.to_thread(follower.stop) for follower in followers))
            for workers in (self._dense, self._sparse, self._reranking, self.pipeline):
                await asyncio.to_thread(workers.close)


def _news(run: OpenRun[SearchSettings], indexes: IndexFollower) -> NewsListener | None:
    """Wakes the follower, where Redis is named: otherwise the store is looked at every few seconds."""
    settings = run.settings
    return NewsListener(settings.redis, run.config.run, indexes.wake) if settings.redis_is_named else None
