"""Re-ranking by inner product, in memory that does not grow with the corpus: only given candidates are scored."""

import numpy as np
from numpy.typing import NDArray

from ance.evaluation.ranking import Ranking

PAIRS = 65_536
"""Pairs of a query and a passage scored at a time."""


class CandidateScores:
    """The candidates of each query by their inner product, of passages that arrive in shards.

    It takes what `StreamingTopK` takes, so that one pass over the corpus gives both the full ranking and this one.
    Of a passage that comes as several vectors (MaxP) the best counts.

    Args:
        queries: float32 [Q, D], not copied.
        candidates: int64 [Q, k], passage rows, padded with -1.
    """

    def __init__(self, queries: NDArray[np.float32], candidates: NDArray[np.int64]) -> None:
        self._queries = queries
        self._candidates = candidates
        self._scores = np.full(candidates.size, -np.inf, np.float32)
        self._by_passage = np.argsort(candidates, axis=None, kind="stable")
        self._passages = candidates.ravel()[self._by_passage]

    def add(self, vectors: NDArray[np.float32], ids: NDArray[np.int64]) -> None:
        """Score the candidates that a shard holds.

        Args:
            vectors: float32 [n, D].
            ids: int64 [n], the passage row of each vector.
        """
        first = np.searchsorted(self._passages, ids, "left")
        counts = np.searchsorted(self._passages, ids, "right") - first
        vector = np.repeat(np.arange(len(ids)), counts)
        nth = np.arange(len(vector)) - np.repeat(np.cumsum(counts) - counts, counts)
        slots = self._by_passage[first[vector] + nth]
        depth = self._candidates.shape[1]
        for start in range(0, len(vector), PAIRS):
            pairs = slice(start, start + PAIRS)
            queries, passages = self._queries[slots[pairs] // depth], vectors[vector[pairs]]
            np.maximum.at(self._scores, slots[pairs], np.einsum("pd,pd->p", queries, passages))

    def result(self) -> Ranking:
        """The candidates of each query, best first; equal scores keep the order of the candidates."""
        scores = self._scores.reshape(self._candidates.shape)
        order = np.argsort(-scores, axis=1, kind="stable")
        return Ranking(np.take_along_axis(self._candidates, order, axis=1), np.take_along_axis(scores, order, axis=1))
