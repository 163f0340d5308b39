"""Holes: retrieved passages that nobody has judged, and that count as not relevant."""

import numpy as np
from numpy.typing import NDArray

from ance.data.qrels import Qrels
from ance.evaluation.metrics import judged_passages


def judged_at(qrels: Qrels, ids: NDArray[np.int64], k: int = 10) -> NDArray[np.float64]:
    """Judged@k of each query, float64 [Q]: the share of its first k passages that have a judgement of any grade.

    1 - Judged@k is the hole rate of the paper (table 6). As in ir-measures, of fewer than k passages the share is
    taken of those, and it is 0 of none. NaN for a query without judgements.

    Args:
        qrels: judgements by query row.
        ids: int64 [Q, at least k unless the corpus is smaller], passage rows by rank, padded with -1.
    """
    judged = judged_passages(qrels, ids)[:, :k].sum(axis=1)
    share = judged / np.maximum(1, (ids[:, :k] >= 0).sum(axis=1))
    return np.where(np.diff(qrels.indptr)[: len(ids)] > 0, share, np.nan)


def hole_rate(qrels: Qrels, ids: NDArray[np.int64], k: int = 10) -> float:
    """Mean over the judged queries of the share of the first k passages that have no judgement (paper, table 6)."""
    return float(1 - np.nanmean(judged_at(qrels, ids, k)))
