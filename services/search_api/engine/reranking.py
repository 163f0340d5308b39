"""The cross-encoder, on a worker of low priority: it may not starve dense search."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from services.search_api.engine.errors import NotReady
from services.search_api.engine.passages import utc
from services.search_api.engine.worker import NICE, ShouldStop, Worker
from services.search_api.models.base import RerankerInfo

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ance.model.cross_encoder import CrossEncoder


@dataclass(frozen=True, slots=True)
class Reranker:
    """A published cross-encoder in memory."""

    step: int
    """Trainer step of the negatives that it was trained on."""
    model: CrossEncoder
    created_at: float

    @property
    def info(self) -> RerankerInfo:
        """As a client sees it."""
        return RerankerInfo(step=self.step, created_at=utc(self.created_at))


@dataclass(frozen=True, slots=True)
class Scores:
    """What the cross-encoder says of some pairs."""

    reranker: RerankerInfo
    scores: tuple[NDArray[np.float32], ...]
    """Logits of the documents of each query, float32 [documents]."""
    queue_seconds: float
    rerank_seconds: float


class Reranking:
    """Scores pairs of query and document, one request after the other."""

    def __init__(self, current: Callable[[], Reranker | None]) -> None:
        self._current = current
        self._worker = Worker("rerank", nice=NICE)

    def require(self) -> Reranker:
        """The cross-encoder.

        Raises:
            NotReady: none is loaded.
        """
        reranker = self._current()
        if reranker is None:
            raise NotReady("reranker", "No reranker is loaded; train one with `ance reranker train`.")
        return reranker

    async def score(self, pairs: Sequence[tuple[str, Callable[[], Sequence[str]]]]) -> Scores:
        """Score the documents of each query; documents are read when their turn comes.

        Raises:
            NotReady: no cross-encoder is loaded.
        """
        arrived = time.perf_counter()
        reranker = self.require()

        def work(should_stop: ShouldStop) -> Scores:
            started = time.perf_counter()
            scores = tuple(reranker.model.score(query, documents(), should_stop) for query, documents in pairs)
            return Scores(reranker.info, scores, started - arrived, time.perf_counter() - started)

        return await self._worker.run(work)

    def close(self) -> None:
        """Stop the worker."""
        self._worker.close()
