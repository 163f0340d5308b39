"""Answering queries from one snapshot, on one worker thread: encode, search, fetch."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ance.runtime.metrics import SearchMetrics
from services.search_api.models import Hit, IndexInfo, QueryResult, SearchResponse, Timings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ance.data.texts import Texts
    from ance.runtime.contracts import SearchSnapshot

STAGES = ("queue", "encode", "search", "fetch")


class Searcher:
    """Runs searches one at a time off the event loop: Torch and Faiss are parallel inside."""

    def __init__(self, max_query_tokens: int, metrics: SearchMetrics) -> None:
        self._max_query_tokens = max_query_tokens
        self._metrics = metrics
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="search")

    def submit(self, snapshot: SearchSnapshot, queries: Sequence[str], top_k: int) -> asyncio.Future[SearchResponse]:
        """The `top_k` best passages for each query, all from `snapshot`.

        Not a coroutine: its frame would keep the snapshot, and free a replaced one on the event loop.
        """
        arrived = time.perf_counter()
        loop = asyncio.get_running_loop()
        return loop.run_in_executor(self._worker, self._search, snapshot, queries, top_k, arrived)

    def close(self) -> None:
        """Finish what was submitted and stop the worker."""
        self._worker.shutdown()

    def _search(self, snapshot: SearchSnapshot, queries: Sequence[str], top_k: int, arrived: float) -> SearchResponse:
        queue = time.perf_counter() - arrived
        response = search(snapshot, queries, top_k, self._max_query_tokens, queue)
        for stage in STAGES:
            seconds = getattr(response.timings, stage)
            self._metrics.stage_duration_seconds.labels(stage=stage).observe(seconds)
        return response


def search(
    snapshot: SearchSnapshot, queries: Sequence[str], top_k: int, max_query_tokens: int, queue: float = 0.0
) -> SearchResponse:
    """Answer `queries` from one snapshot.

    Args:
        queries: texts; longer ones are cut to `max_query_tokens` tokens, special tokens included.
        queue: seconds that the request has waited.
    """
    started = time.perf_counter()
    vectors = snapshot.encoder.encode_texts(list(queries), max_query_tokens)  # (queries, dim)
    encoded = time.perf_counter()
    rows, scores = snapshot.index.search(vectors, top_k)  # (queries, top_k) each
    searched = time.perf_counter()
    passages = snapshot.documents.passages
    results = tuple(QueryResult(hits=hits(passages, *ranking)) for ranking in zip(rows, scores, strict=True))
    finished = time.perf_counter()
    return SearchResponse(
        results=results,
        index=describe(snapshot),
        timings=Timings(
            queue=queue,
            encode=encoded - started,
            search=searched - encoded,
            fetch=finished - searched,
            total=queue + finished - started,
        ),
    )


def hits(passages: Texts, rows: NDArray[np.int64], scores: NDArray[np.float32]) -> tuple[Hit, ...]:
    """The passages of one ranking, int64 and float32 [k]; rows of -1 are padding of a small index."""
    found = []
    for row, score in zip(rows.tolist(), scores.tolist(), strict=True):
        if row >= 0:
            document = passages.documents[row]
            found.append(Hit(id=passages.ids[row], score=score, title=document["title"], text=document["text"]))
    return tuple(found)


def describe(snapshot: SearchSnapshot) -> IndexInfo:
    """The version as a client sees it. Index and checkpoint share their step: a snapshot has only one."""
    return IndexInfo(
        version=snapshot.step,
        checkpoint_step=snapshot.step,
        created_at=datetime.fromtimestamp(snapshot.created_at, UTC),
        age_seconds=max(0.0, time.time() - snapshot.created_at),
    )
