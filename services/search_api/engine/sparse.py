"""BM25 on a worker of its own."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from services.search_api.engine.passages import allowed_rows
from services.search_api.engine.worker import ShouldStop, Worker
from services.search_api.models.search import Filter

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ance.data.texts import Texts
    from ance.retrieval.bm25 import BM25


@dataclass(frozen=True, slots=True)
class SparseAnswer:
    """Rankings of BM25."""

    rows: NDArray[np.int64]  # (texts, k)
    scores: NDArray[np.float32]  # (texts, k)
    queue_seconds: float
    search_seconds: float


class SparseSearch:
    """Searches with BM25, one request after the other.

    Args:
        bm25: gives the index, or raises NotReady.
        passages: gives the passages, or raises NotReady.
    """

    def __init__(self, bm25: Callable[[], BM25], passages: Callable[[], Texts]) -> None:
        self._bm25 = bm25
        self._passages = passages
        self._worker = Worker("sparse")

    async def search(self, texts: tuple[str, ...], k: int, chosen: Filter | None) -> SparseAnswer:
        """The first `k` passages of BM25 for each text.

        Raises:
            NotReady: the index is still being built, or switched off.
        """
        arrived = time.perf_counter()
        bm25, passages = self._bm25(), self._passages()

        def work(should_stop: ShouldStop) -> SparseAnswer:
            started = time.perf_counter()
            rows, scores = bm25.search(texts, k, allowed_rows(passages, chosen))
            return SparseAnswer(rows, scores, started - arrived, time.perf_counter() - started)

        return await self._worker.run(work)

    def close(self) -> None:
        """Stop the worker."""
        self._worker.close()
