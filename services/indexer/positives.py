"""The vectors of the training queries' positives, picked out of the shards as they pass, for look-ahead negatives."""

import numpy as np
from numpy.typing import NDArray

from ance.data.qrels import Qrels


class PositiveVectors:
    """One positive of each training query, the first that it may be trained with.

    Args:
        qrels: judgements of the training split.
        min_grade: least grade of a positive that is trained with.
    """

    def __init__(self, qrels: Qrels, min_grade: int) -> None:
        padded = qrels.padded_positives(np.arange(qrels.queries), min_grade)
        none = np.full((qrels.queries, 1), -1, np.int64)
        self.rows: NDArray[np.int64] = np.concatenate([padded, none], axis=1)[:, 0]
        """Passage row of each query's positive, int64 [Q], -1 where it has none."""
        self.vectors: NDArray[np.float32] = np.zeros((0, 0), np.float32)
        """float32 [Q, D] once every passage was added, of a passage in chunks the first; zeros where a query has no
        positive."""

    def add(self, vectors: NDArray[np.float32], rows: NDArray[np.int64]) -> None:
        """Take what is needed of a shard: float32 [n, D], of the passages int64 [n], ascending."""
        if not self.vectors.size:
            self.vectors = np.zeros((len(self.rows), vectors.shape[1]), np.float32)
        here = (self.rows >= rows[0]) & (self.rows <= rows[-1])
        self.vectors[here] = vectors[np.searchsorted(rows, self.rows[here])]  # the first of each
