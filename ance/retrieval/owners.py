"""From vectors to passages: an index may hold several vectors of a passage (MaxP), a ranking has each passage once."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ance.retrieval.merging import Ranking

QUERY_BLOCK = 512
"""Queries that are ranked at a time where passages have several vectors: a ranking of vectors is that much deeper."""

SearchVectors = Callable[[NDArray[np.float32], int], Ranking]
"""(queries float32 [n, D], k) -> passage row and score of each query's best k vectors."""


class Owners:
    """The passage that each vector of an index is of. The vectors of a passage lie next to each other.

    Args:
        rows: int64 [vectors].
    """

    def __init__(self, rows: NDArray[np.int64]) -> None:
        self.rows = rows
        starts = rows[1:] != rows[:-1]
        self.passages = int(np.count_nonzero(starts)) + min(1, len(rows))
        """How many there are."""
        self.most = 1
        """Vectors of the passage that has most."""
        if self.passages < len(rows):
            edges = np.flatnonzero(starts)
            self.most = int(np.diff(edges, prepend=-1, append=len(rows) - 1).max())


def search_passages(search: SearchVectors, queries: NDArray[np.float32], k: int, passages: int, most: int) -> Ranking:
    """Search for passages by their best vectors.

    k - 1 passages have at most (k - 1) * most vectors, so one vector more is of a k-th passage: at this depth k
    distinct passages are found, if the index finds as many vectors as it is asked for. Duplicates go before the cut.

    Args:
        search: ranks vectors.
        queries: float32 [n, D].
        k: passages to return for a query.
        passages: how many there are.
        most: vectors of the passage that has most; with 1, `search` ranks passages already.

    Returns:
        Passage rows and scores [n, min(k, passages)].
    """
    k = min(k, passages)
    if most == 1 or k == 0:
        return search(queries, k)
    rows, scores = empty_ranking(len(queries), k)
    for start in range(0, len(queries), QUERY_BLOCK):
        block = slice(start, start + QUERY_BLOCK)
        rows[block], scores[block] = first_of_each(*search(queries[block], (k - 1) * most + 1), k)
    return rows, scores


def first_of_each(rows: NDArray[np.int64], scores: NDArray[np.float32], k: int) -> Ranking:
    """The first k distinct rows of each ranking [n, m], with their scores: [n, k]."""
    order = np.argsort(rows, axis=1, kind="stable")  # equal rows side by side, the best of them first
    ordered = np.take_along_axis(rows, order, axis=1)
    distinct = np.empty(rows.shape, np.bool_)
    np.put_along_axis(distinct, order, np.diff(ordered, axis=1, prepend=-1) != 0, axis=1)
    distinct &= rows >= 0
    place = np.cumsum(distinct, axis=1) - 1
    lines, columns = np.nonzero(distinct & (place < k))
    best, of_best = empty_ranking(len(rows), k)
    best[lines, place[lines, columns]] = rows[lines, columns]
    of_best[lines, place[lines, columns]] = scores[lines, columns]
    return best, of_best


def empty_ranking(queries: int, k: int) -> Ranking:
    """Of nothing found: -1 and -inf."""
    return np.full((queries, k), -1, np.int64), np.full((queries, k), -np.inf, np.float32)
