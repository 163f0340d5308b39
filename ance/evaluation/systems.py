"""Rankings of whole systems on a split: BM25, BM25 re-ranked, and a bi-encoder over the whole corpus."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ance.data.dataset import Dataset
from ance.model.config import ModelConfig
from ance.model.cross_encoder import CrossEncoder
from ance.model.encoding import TextEncoder
from ance.retrieval.bm25 import BM25
from ance.retrieval.topk import StreamingTopK

BLOCK_ROWS = 4096
"""Passages encoded at a time: their vectors are ranked and dropped, so memory does not grow with the corpus."""


@dataclass(frozen=True, slots=True)
class Ranking:
    """Passage rows and scores by rank for every query of a split, int64 and float32 [Q, k], padded with -1."""

    ids: NDArray[np.int64]
    scores: NDArray[np.float32]


def rank_bm25(dataset: Dataset, split: str, depth: int) -> Ranking:
    """Rank with BM25 over title and text."""
    bm25 = BM25.build(dataset.passages.full_texts())
    return Ranking(*bm25.search(list(dataset.queries(split).full_texts()), depth))


def rank_dense(
    encoder: TextEncoder,
    model: ModelConfig,
    dataset: Dataset,
    split: str,
    depth: int,
    rows: NDArray[np.int64] | None = None,
) -> Ranking:
    """Encode queries and corpus and rank exactly by inner product; `rows` are the queries to rank for (None: all)."""
    queries, passages = dataset.queries(split), dataset.passages
    rows = np.arange(len(queries)) if rows is None else rows
    vectors = encoder.encode_rows_at(queries.tokens, rows, model.max_query_tokens)
    top = StreamingTopK(vectors, depth)
    for start in range(0, len(passages), BLOCK_ROWS):
        stop = min(start + BLOCK_ROWS, len(passages))
        block = encoder.encode_rows(passages.tokens, start, stop, model.max_passage_tokens)
        top.add(block, np.arange(start, stop, dtype=np.int64))
    return Ranking(*top.result())


def rerank(cross_encoder: CrossEncoder, candidates: Ranking, dataset: Dataset, split: str, depth: int) -> Ranking:
    """Re-rank the first `depth` candidates of every query by a cross-encoder; what is below is dropped.

    Equal scores keep the order of the candidates.
    """
    queries, passages = dataset.queries(split), dataset.passages
    ids = candidates.ids[:, :depth]
    order, scores = np.tile(np.arange(ids.shape[1]), (len(ids), 1)), np.full(ids.shape, -np.inf, np.float32)
    for query, rows in enumerate(ids):
        found = rows[rows >= 0].tolist()
        scored = cross_encoder.score(queries.full_text(query), [passages.full_text(row) for row in found])
        order[query, : len(found)] = np.argsort(-scored, kind="stable")
        scores[query, : len(found)] = scored
    return Ranking(np.take_along_axis(ids, order, axis=1), np.take_along_axis(scores, order, axis=1))
