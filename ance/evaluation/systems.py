"""Rankings of whole systems on a split: BM25, BM25 re-ranked, and a bi-encoder over the whole corpus."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ance.data.dataset import Dataset
from ance.evaluation.candidate_scores import CandidateScores
from ance.evaluation.ranking import Ranking
from ance.model.chunks import Chunking
from ance.model.config import ModelConfig
from ance.model.cross_encoder import CrossEncoder
from ance.model.encoding import TextEncoder
from ance.retrieval.bm25 import BM25
from ance.retrieval.topk import StreamingTopK

BLOCK_ROWS = 4096
"""Passages encoded at a time: their vectors are ranked and dropped, so memory does not grow with the corpus."""

NO_CANDIDATES: Mapping[str, NDArray[np.int64]] = MappingProxyType({})


class DenseRankings(NamedTuple):
    """What one bi-encoder makes of a split."""

    full: Ranking
    """Of the whole corpus."""
    reranked: Ranking | None
    """Of the given candidates; None where none were given."""


def rank_bm25(dataset: Dataset, split: str, depth: int) -> Ranking:
    """Rank with BM25 over title and text."""
    return rank_bm25_splits(dataset, [split], depth)[split]


def rank_bm25_splits(dataset: Dataset, splits: Sequence[str], depth: int) -> dict[str, Ranking]:
    """`rank_bm25` of several splits: the corpus is indexed once."""
    bm25 = BM25.build(dataset.passages.full_texts())
    return {split: Ranking(*bm25.search(list(dataset.queries(split).full_texts()), depth)) for split in splits}


def rank_dense(
    encoder: TextEncoder,
    model: ModelConfig,
    dataset: Dataset,
    split: str,
    depth: int,
    rows: NDArray[np.int64] | None = None,
) -> Ranking:
    """Encode queries and corpus and rank exactly by inner product; `rows` are the queries to rank for (None: all)."""
    top = StreamingTopK(_query_vectors(encoder, model, dataset, split, rows), depth)
    stream_corpus(encoder, model, dataset, [top])
    return Ranking(*top.result())


def rank_dense_splits(
    encoder: TextEncoder,
    model: ModelConfig,
    dataset: Dataset,
    splits: Sequence[str],
    depth: int,
    candidates: Mapping[str, NDArray[np.int64]] = NO_CANDIDATES,
) -> dict[str, DenseRankings]:
    """Full and re-ranking of several splits: the corpus is encoded once, and each vector is used for all.

    Args:
        candidates: split -> int64 [Q, k], the passage rows to re-rank for each query, padded with -1.
    """
    vectors = {split: _query_vectors(encoder, model, dataset, split, None) for split in splits}
    full = {split: StreamingTopK(vectors[split], depth) for split in splits}
    given = {split: CandidateScores(vectors[split], candidates[split]) for split in splits if split in candidates}
    stream_corpus(encoder, model, dataset, [*full.values(), *given.values()])
    return {
        split: DenseRankings(Ranking(*full[split].result()), given[split].result() if split in given else None)
        for split in splits
    }


def _query_vectors(
    encoder: TextEncoder, model: ModelConfig, dataset: Dataset, split: str, rows: NDArray[np.int64] | None
) -> NDArray[np.float32]:
    queries = dataset.queries(split)
    rows = np.arange(len(queries)) if rows is None else rows
    return encoder.queries.encode_rows_at(queries.tokens, rows, model.max_query_tokens)


def stream_corpus(
    encoder: TextEncoder, model: ModelConfig, dataset: Dataset, takers: Sequence[StreamingTopK | CandidateScores]
) -> None:
    """Encode the corpus block by block; every taker sees every block, and none keeps it."""
    passages, chunking = dataset.passages, Chunking.of(model, dataset.special)
    for start in range(0, len(passages), BLOCK_ROWS):
        block = passages.tokens.part(start, min(start + BLOCK_ROWS, len(passages)))
        chunks, rows = chunking.split(block), start + chunking.owners(block)
        vectors = encoder.encode_rows(chunks, 0, len(chunks), model.max_passage_tokens)
        for taker in takers:
            taker.add(vectors, rows)


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
