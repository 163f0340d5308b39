"""The modes of a search, each a pipeline over the workers, with the time that every stage took."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from ance.model.config import ModelConfig
from ance.runtime.metrics import SearchMetrics
from ance.runtime.tracing import current_span, exemplar, span, stages
from services.search_api.engine.admission import Admission
from services.search_api.engine.dense import DenseAnswer, DenseRequest, DenseSearch
from services.search_api.engine.latency import LatencyLog
from services.search_api.engine.passages import fetch, full_texts
from services.search_api.engine.rankings import by_scores, fused
from services.search_api.engine.reranking import Reranking, Scores
from services.search_api.engine.sparse import SparseSearch
from services.search_api.engine.stopwatch import Stopwatch
from services.search_api.engine.worker import Worker
from services.search_api.models.search import QueryResult, SearchRequest, SearchResponse, Timings
from services.search_api.settings import SearchSettings

if TYPE_CHECKING:
    from ance.data.texts import Texts
    from services.search_api.engine.rankings import Ranking

T = TypeVar("T")

STAGES = {
    "dense": ("queue", "encode", "search", "fetch"),
    "bm25": ("queue", "search", "fetch"),
    "rerank": ("queue", "search", "rerank", "fetch"),
    "hybrid": ("queue", "encode", "search", "fetch"),
}


class Pipeline:
    """Answers searches: runs on the event loop, works on the workers, knows no HTTP.

    Args:
        passages: gives the corpus, or raises NotReady.
        latency: is told of every search.
    """

    def __init__(
        self,
        settings: SearchSettings,
        model: ModelConfig,
        metrics: SearchMetrics,
        dense: DenseSearch,
        sparse: SparseSearch,
        reranking: Reranking,
        passages: Callable[[], Texts],
        latency: LatencyLog,
    ) -> None:
        self._model, self._latency = model, latency
        self._dense, self._sparse, self._reranking = dense, sparse, reranking
        self._passages = passages
        self._documents = Worker("documents")
        duration = metrics.stage_duration_seconds.labels  # finding a child costs as much as observing
        self._durations = {mode: {stage: duration(mode, stage) for stage in STAGES[mode]} for mode in STAGES}
        depth = metrics.queue_depth.labels
        self._dense_lane = Admission("queries", settings.max_queued_queries, depth(lane="dense"))
        self._sparse_lane = Admission("queries", settings.max_queued_queries, depth(lane="sparse"))
        self._rerank_lane = Admission("pairs to rerank", settings.max_queued_pairs, depth(lane="rerank"))

    @property
    def reranker_idle(self) -> bool:
        """Whether nobody waits for the cross-encoder."""
        return self._rerank_lane.idle

    async def search(self, request: SearchRequest) -> SearchResponse:
        """Answer a search in its mode.

        Raises:
            NotReady: something that the mode needs is not loaded.
            Overloaded: too much is in work or waiting.
        """
        modes: dict[str, Callable[[SearchRequest], Awaitable[SearchResponse]]] = {
            "dense": self._by_vectors,
            "bm25": self._by_terms,
            "rerank": self._reranked,
            "hybrid": self._fused,
        }
        with span(f"search {request.mode}", mode=request.mode, top_k=request.top_k, queries=len(request.texts)):
            response = await modes[request.mode](request)
            trace = exemplar()
            for stage, duration in self._durations[request.mode].items():
                duration.observe(getattr(response.timings, stage), trace)
        self._latency.add(response)
        return response

    async def encode(self, texts: tuple[str, ...]) -> DenseAnswer:
        """Vectors of any texts, cut as passages are.

        Raises:
            NotReady: no version is loaded.
            Overloaded: too much is in work or waiting.
        """
        with self._dense_lane.admit(len(texts)):
            return await self._dense.submit(DenseRequest(texts, self._model.max_passage_tokens))

    async def score(self, query: str, documents: Sequence[str]) -> Scores:
        """What the cross-encoder says of given documents.

        Raises:
            NotReady: no cross-encoder is loaded.
            Overloaded: too much is in work or waiting.
        """
        with self._rerank_lane.admit(len(documents)):
            return await self._reranking.score([(query, lambda: documents)])

    async def read(self, work: Callable[[Texts], T]) -> T:
        """Read from the corpus, off the event loop: its pages may be on a disk.

        Raises:
            NotReady: the corpus is not open yet.
        """
        passages = self._passages()
        return await self._documents.run(lambda _: work(passages))

    def close(self) -> None:
        """Stop the worker that reads."""
        self._documents.close()

    async def _by_vectors(self, request: SearchRequest) -> SearchResponse:
        began = time.perf_counter()
        with self._dense_lane.admit(len(request.texts)):
            answer = await self._dense.submit(self._dense_request(request, request.top_k, fetched=True))
        timings = _timings(answer)
        stages(began, ((stage, getattr(timings, stage)) for stage in STAGES["dense"]))
        current_span().set(index_step=answer.index.version, batch_queries=answer.batch_queries)
        return SearchResponse(mode="dense", results=answer.results, index=answer.index, timings=timings)

    async def _by_terms(self, request: SearchRequest) -> SearchResponse:
        watch = Stopwatch()
        with self._sparse_lane.admit(len(request.texts)):
            sparse = await self._sparse.search(request.texts, request.top_k, request.filter)
            watch.lap("search", queue=sparse.queue_seconds)
            results = await self._fetch(request, (sparse.rows, sparse.scores))
        return SearchResponse(mode="bm25", results=results, timings=watch.timings())

    async def _reranked(self, request: SearchRequest) -> SearchResponse:
        watch = Stopwatch()
        self._reranking.require()
        passages = self._passages()
        depth = max(request.candidates, request.top_k)
        with self._rerank_lane.admit(len(request.texts) * depth):
            sparse = await self._sparse.search(request.texts, depth, request.filter)
            watch.lap("search", queue=sparse.queue_seconds)
            candidates = [ranking[ranking >= 0] for ranking in sparse.rows]
            pairs = [
                (text, partial(full_texts, passages, rows.tolist()))
                for text, rows in zip(request.texts, candidates, strict=True)
            ]
            answer = await self._reranking.score(pairs)
            watch.lap("rerank", queue=answer.queue_seconds)
            current_span().set(pairs=sum(map(len, candidates)), reranker_step=answer.reranker.step)
            results = await self._fetch(request, by_scores(candidates, answer.scores, request.top_k))
        return SearchResponse(mode="rerank", results=results, reranker=answer.reranker, timings=watch.timings())

    async def _fused(self, request: SearchRequest) -> SearchResponse:
        watch = Stopwatch()
        depth = max(request.candidates, request.top_k)
        items = len(request.texts)
        with self._dense_lane.admit(items), self._sparse_lane.admit(items):
            dense, sparse = await asyncio.gather(
                self._dense.submit(self._dense_request(request, depth, fetched=False)),
                self._sparse.search(request.texts, depth, request.filter),
            )
            watch.lap("search", queue=dense.queue_seconds, encode=dense.encode_seconds)
            current_span().set(index_step=dense.index.version, batch_queries=dense.batch_queries)
            results = await self._fetch(request, fused(dense.rows, sparse.rows, request.top_k))
        return SearchResponse(mode="hybrid", results=results, index=dense.index, timings=watch.timings())

    def _dense_request(self, request: SearchRequest, top_k: int, *, fetched: bool) -> DenseRequest:
        fields = request.fields if fetched else None
        return DenseRequest(request.texts, self._model.max_query_tokens, top_k, request.filter, fields)

    async def _fetch(self, request: SearchRequest, ranking: Ranking) -> tuple[QueryResult, ...]:
        return await self.read(lambda passages: fetch(passages, *ranking, request.fields))


def _timings(answer: DenseAnswer) -> Timings:
    stages = answer.queue_seconds, answer.encode_seconds, answer.search_seconds, answer.fetch_seconds
    queue, encode, search, fetching = stages
    return Timings(queue=queue, encode=encode, search=search, fetch=fetching, total=sum(stages))
