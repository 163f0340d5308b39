"""Where the known positives of queries stand in a ranking."""

import numpy as np
from numpy.typing import NDArray

from ance.data.qrels import Qrels
from ance.negatives.sampling import is_positive


def positive_ranks(ids: NDArray[np.int64], qrels: Qrels) -> NDArray[np.int64]:
    """Rank of the best known positive of each query that has one, 1 for the top.

    Args:
        ids: passage rows by rank, int64 [Q, k], padded with -1; row i belongs to query i.
        qrels: judgements of these queries.

    Returns:
        int64 [queries with a positive]; k + 1 where no positive is among the k passages, a lower bound of its rank.
    """
    positives = qrels.padded_positives(np.arange(len(ids), dtype=np.int64))
    judged = (positives >= 0).any(axis=1)
    found = is_positive(ids[judged], positives[judged]) & (ids[judged] >= 0)
    ranks: NDArray[np.int64] = np.where(found.any(axis=1), found.argmax(axis=1), ids.shape[1]) + 1
    return ranks
