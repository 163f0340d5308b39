"""Several rankings of one query as a single one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def reciprocal_rank_fusion(
    rankings: Sequence[NDArray[np.int64]], k: int, constant: int = 60
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Fuse rankings by the sum of 1 / (constant + rank), ranks from 1 (Cormack et al., SIGIR 2009).

    Scores of the rankings are not needed, so systems whose scores mean different things can be fused.

    Args:
        rankings: passage rows, int64 [n] each, best first, distinct; -1 is padding.
        k: passages to return at most.
        constant: how little the first ranks stand out; 60 in the paper.

    Returns:
        Passage rows int64 [m] and scores float32 [m], best first, equal scores by the smaller row; m is k, or
        the number of passages in all rankings where that is less.
    """
    present = [ranking >= 0 for ranking in rankings]
    found = [ranking[here] for ranking, here in zip(rankings, present, strict=True)]
    shares = [1 / (constant + 1 + np.flatnonzero(here)) for here in present]
    rows, line = np.unique(np.concatenate([np.empty(0, np.int64), *found]), return_inverse=True)
    scores = np.bincount(line, np.concatenate([np.empty(0), *shares]), minlength=len(rows))
    best = np.argsort(-scores, kind="stable")[:k]
    return rows[best], scores[best].astype(np.float32)
