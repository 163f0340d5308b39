"""How long the stages of a search take on this machine, one query at a time."""

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from ance.errors import AnceError

if TYPE_CHECKING:
    from ance.data.dataset import Dataset
    from ance.runtime.contracts import RunConfig
    from ance.runtime.layout import RunLayout
    from ance.runtime.store import Store

T = TypeVar("T")

TOP_K = 100
QUERIES = 50
RERANKED_QUERIES = 5
"""Reranking a query takes a second and more on a CPU."""


def measure_latencies(
    store: "Store", layout: "RunLayout", config: "RunConfig", dataset: "Dataset", split: str, cache: Path
) -> dict[str, list[float]]:
    """Seconds of single queries of a split by stage: encode, search, bm25 and, where one is trained, rerank.

    The newest index answers with its top 100; BM25's top 100 are reranked. Empty before the first index.
    """
    from itertools import islice

    from ance.model.cross_encoder import CrossEncoder
    from ance.model.encoding import TextEncoder
    from ance.retrieval.bm25 import BM25
    from ance.runtime.artifacts import fetch
    from ance.runtime.index_backend import index_backend
    from ance.runtime.milvus.settings import MilvusSettings
    from ance.runtime.settings import load

    newest = store.read_pointer(layout.pointer("index"))
    if newest is None:
        return {}
    index = index_backend(config.index, load(MilvusSettings), store, layout).open(fetch(store, newest, cache))
    encoder = TextEncoder.load(fetch(store, layout.checkpoint(newest.step), cache), dtype=config.encoding.dtype).queries
    texts = list(islice(dataset.queries(split).full_texts(), QUERIES))
    if not texts:
        raise AnceError(f"split '{split}' of data set '{dataset.name}' has no queries to measure with")
    vectors = [encoder.encode_texts([text], config.model.max_query_tokens) for text in texts]  # the first ones warm up
    bm25 = BM25.build(dataset.passages.full_texts())
    seconds = {
        "encode": _timed(lambda text: encoder.encode_texts([text], config.model.max_query_tokens), texts),
        "search": _timed(lambda vector: index.search(vector, TOP_K), vectors),
        "bm25": _timed(lambda text: bm25.search([text], TOP_K), texts),
    }
    reranker = store.read_pointer(layout.pointer("reranker"))
    if reranker is not None:
        cross = CrossEncoder.load(fetch(store, reranker, cache))
        passages = dataset.passages.documents

        def rerank(text: str) -> None:
            rows = bm25.search([text], TOP_K)[0][0]
            cross.score(text, [passages[int(row)]["text"] for row in rows if row >= 0])

        seconds["rerank"] = _timed(rerank, texts[:RERANKED_QUERIES])
    return seconds


def _timed(work: Callable[[T], object], items: Iterable[T]) -> list[float]:
    seconds = []
    for item in items:
        began = time.perf_counter()
        work(item)
        seconds.append(time.perf_counter() - began)
    return seconds
