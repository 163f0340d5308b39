"""One ranking of the rankings of disjoint parts of a corpus."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ance.retrieval.rank_keys import NO_PASSAGE, complement, rank_keys, rows_of, scores_of

Ranking = tuple[NDArray[np.int64], NDArray[np.float32]]
"""Passage rows int64 [n, k] and scores float32 [n, k], best first, padded with -1 and -inf."""


def merge_rankings(rankings: Sequence[Ranking], k: int) -> Ranking:
    """The best k of all, in the order of `StreamingTopK`: what it would find had it seen all the parts.

    Args:
        rankings: of the same queries, each over passages that the others do not have; at least one.
        k: width of the result.

    Returns:
        Passage rows int64 [n, k] and scores float32 [n, k], best first, padded with -1 and -inf.
    """
    queries = len(rankings[0][0])
    keys = np.concatenate([np.full((queries, k), NO_PASSAGE), *(_keys(*ranking) for ranking in rankings)], axis=1)
    keys.partition(keys.shape[1] - k, axis=1)
    best = np.sort(keys[:, keys.shape[1] - k :], axis=1)[:, ::-1]
    return rows_of(best), scores_of(best)


def _keys(rows: NDArray[np.int64], scores: NDArray[np.float32]) -> NDArray[np.uint64]:
    found = rows >= 0
    keys = rank_keys(np.where(found, scores, np.float32(0)), complement(np.where(found, rows, 0)))
    return np.where(found, keys, NO_PASSAGE)
