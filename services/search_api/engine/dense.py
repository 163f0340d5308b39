"""Dense search: batches of queries are encoded and searched together, each batch on one whole version."""

from __future__ import annotations

import itertools
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ance.errors import AnceError, TemporaryError
from ance.runtime.metrics import SearchMetrics
from ance.runtime.tracing import span
from services.search_api.engine.batcher import Batcher, Job
from services.search_api.engine.errors import NotReady, Unsupported
from services.search_api.engine.passages import allowed_rows, describe, fetch
from services.search_api.engine.worker import Worker
from services.search_api.models.base import IndexInfo
from services.search_api.models.search import FieldName, Filter, QueryResult

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ance.runtime.contracts import SearchSnapshot


log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class DenseRequest:
    """Queries to encode and to search with; texts to encode as passages are, if `top_k` is 0."""

    texts: tuple[str, ...]
    max_tokens: int
    """Longest text, special tokens included; more is cut."""
    top_k: int = 0
    filter: Filter | None = None
    fields: tuple[FieldName, ...] | None = None
    """Parts of the documents to fetch; None: rankings only."""

    @property
    def cost(self) -> int:
        """At most as many tokens: a text has no more of them than characters, and its special ones."""
        return sum(min(self.max_tokens, len(text) + 2) for text in self.texts)


@dataclass(frozen=True, slots=True)
class DenseAnswer:
    """All of one version."""

    index: IndexInfo
    vectors: NDArray[np.float32]  # (texts, dim)
    tokens: int
    """Tokens encoded, special ones included; counted only where there was no search."""
    rows: NDArray[np.int64]  # (texts, top_k)
    scores: NDArray[np.float32]  # (texts, top_k)
    results: tuple[QueryResult, ...]
    batch_queries: int
    """Texts that were encoded and searched together with these, and these."""
    queue_seconds: float
    encode_seconds: float
    search_seconds: float
    fetch_seconds: float


DenseJob = Job[DenseRequest, DenseAnswer]


class DenseSearch:
    """Answers from the version that is current when a batch begins; a batch keeps it to its end."""

    def __init__(
        self,
        current: Callable[[], SearchSnapshot | None],
        metrics: SearchMetrics,
        *,
        batch_tokens: int,
        wait_seconds: float,
    ) -> None:
        self._current = current
        self._metrics = metrics
        self._worker = Worker("dense")
        self._batcher: Batcher[DenseRequest, DenseAnswer] = Batcher(
            self._answer, self._worker, budget=batch_tokens, wait_seconds=wait_seconds
        )

    async def serve(self) -> None:
        """Work until cancelled."""
        await self._batcher.serve()

    async def submit(self, request: DenseRequest) -> DenseAnswer:
        """Answer one request.

        Raises:
            NotReady: no version is loaded.
        """
        return await self._batcher.submit(request, request.cost)

    def close(self) -> None:
        """Stop the worker."""
        self._worker.close()

    def _answer(self, batch: Sequence[DenseJob]) -> list[DenseAnswer | Exception]:
        snapshot = self._current()
        if snapshot is None:
            missing = NotReady("index", "No index is loaded yet; retry when /readyz says so.")
            return [missing] * len(batch)
        queries = queries_of(batch)
        self._metrics.batch_queries.observe(queries)
        with span("batch", links=(job.trace for job in batch), queries=queries, index_step=snapshot.step):
            return _each_for_itself(snapshot, batch)


def queries_of(batch: Sequence[DenseJob]) -> int:
    """How many texts its requests have together."""
    return sum(len(job.request.texts) for job in batch)


def _each_for_itself(snapshot: SearchSnapshot, batch: Sequence[DenseJob]) -> list[DenseAnswer | Exception]:
    """Answer a batch; if that fails, job by job, so that a request fails only through its own fault."""
    try:
        return list(answer_batch(snapshot, batch))
    except TemporaryError as error:
        # Nobody's fault. One by one, all would wait as long again.
        log.warning("index not searched: %s", error)
        away = NotReady("index", "The engine that keeps the index does not answer; retry in a while.")
        return [away] * len(batch)
    except Exception as error:
        if len(batch) == 1:
            return [error]
    return [answer for job in batch for answer in _each_for_itself(snapshot, [job])]


def answer_batch(snapshot: SearchSnapshot, batch: Sequence[DenseJob]) -> list[DenseAnswer]:
    """Encode all texts of the batch, search, fetch."""
    started = time.perf_counter()
    vectors = _encode(snapshot, batch)
    encoded = time.perf_counter()
    rankings = _search(snapshot, batch, vectors)
    searched = time.perf_counter()
    answers = []
    for job, of_job, (rows, scores) in zip(batch, vectors, rankings, strict=True):
        request, passages = job.request, snapshot.documents.passages
        results = () if request.fields is None else fetch(passages, rows, scores, request.fields)
        tokens = 0 if request.top_k else snapshot.encoder.count_tokens(request.texts, request.max_tokens)
        answers.append(
            DenseAnswer(
                index=describe(snapshot),
                vectors=of_job,
                tokens=tokens,
                rows=rows,
                scores=scores,
                results=results,
                batch_queries=queries_of(batch),
                queue_seconds=started - job.arrived,
                encode_seconds=encoded - started,
                search_seconds=searched - encoded,
                fetch_seconds=time.perf_counter() - searched,
            )
        )
    return answers


def _encode(snapshot: SearchSnapshot, batch: Sequence[DenseJob]) -> list[NDArray[np.float32]]:
    """Vectors of each job, (texts, dim)."""
    vectors: dict[int, NDArray[np.float32]] = {}

    def kind(job: int) -> tuple[int, bool]:
        return batch[job].request.max_tokens, batch[job].request.top_k > 0

    for (limit, queries), jobs in itertools.groupby(sorted(range(len(batch)), key=kind), key=kind):
        together = list(jobs)
        texts = [text for job in together for text in batch[job].request.texts]
        encoder = snapshot.encoder.queries if queries else snapshot.encoder
        encoded = encoder.encode_texts(texts, limit)  # (texts of these jobs, dim)
        ends = list(itertools.accumulate(len(batch[job].request.texts) for job in together))
        for job, start, end in zip(together, [0, *ends], ends, strict=False):
            vectors[job] = encoded[start:end]
    return [vectors[job] for job in range(len(batch))]


def _search(
    snapshot: SearchSnapshot, batch: Sequence[DenseJob], vectors: Sequence[NDArray[np.float32]]
) -> list[tuple[NDArray[np.int64], NDArray[np.float32]]]:
    """Rankings of each job. Jobs of the same depth are searched together, those with a filter alone.

    Not all at the greatest depth: what an approximate index finds depends on it, and an answer must not depend
    on its neighbours in the batch.
    """
    import numpy as np

    rankings: dict[int, tuple[NDArray[np.int64], NDArray[np.float32]]] = {}
    alike: dict[int, list[int]] = {}
    for number, job in enumerate(batch):
        request = job.request
        if request.filter is None:
            alike.setdefault(request.top_k, []).append(number)
        else:
            allowed = allowed_rows(snapshot.documents.passages, request.filter)
            try:
                rankings[number] = snapshot.index.search(vectors[number], request.top_k, allowed)
            except TemporaryError:
                raise
            except AnceError as error:
                raise Unsupported(f"filter: {error}") from error
    for top_k, numbers in alike.items():
        rows, scores = snapshot.index.search(np.concatenate([vectors[number] for number in numbers]), top_k)
        ends = list(itertools.accumulate(len(vectors[number]) for number in numbers))
        for number, start, end in zip(numbers, [0, *ends], ends, strict=False):
            rankings[number] = rows[start:end], scores[start:end]
    return [rankings[number] for number in range(len(batch))]
