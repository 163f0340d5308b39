"""Rankings made from rankings: by the cross-encoder's scores, and by reciprocal ranks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Ranking = tuple[NDArray[np.int64], NDArray[np.float32]]
    """Passage rows and scores, (queries, k) each, best first, padded with -1 and -inf."""


def by_scores(candidates: Sequence[NDArray[np.int64]], scores: Sequence[NDArray[np.float32]], k: int) -> Ranking:
    """The `k` candidates of each query with the highest scores, equal ones in their order."""
    import numpy as np

    orders = [np.argsort(-of_query, kind="stable")[:k] for of_query in scores]
    best = [(rows[order], given[order]) for rows, given, order in zip(candidates, scores, orders, strict=True)]
    return _padded(best, k)


def fused(dense: NDArray[np.int64], sparse: NDArray[np.int64], k: int) -> Ranking:
    """Two rankings of each query, int64 [queries, depth] each, fused by reciprocal ranks."""
    from ance.retrieval.fusion import reciprocal_rank_fusion

    return _padded([reciprocal_rank_fusion(both, k) for both in zip(dense, sparse, strict=True)], k)


def _padded(rankings: Sequence[tuple[NDArray[np.int64], NDArray[np.float32]]], k: int) -> Ranking:
    import numpy as np

    rows = np.full((len(rankings), k), -1, np.int64)
    scores = np.full((len(rankings), k), -np.inf, np.float32)
    for number, (found, given) in enumerate(rankings):
        rows[number, : len(found)], scores[number, : len(found)] = found, given
    return rows, scores


def best_first(scores: NDArray[np.float32]) -> list[int]:
    """Positions by descending score, equal ones in their order."""
    import numpy as np

    order: list[int] = np.argsort(-scores, kind="stable").tolist()
    return order


def sigmoid(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """1 / (1 + exp(-x)), float64 of the same shape, without overflow."""
    import numpy as np

    half: NDArray[np.float64] = 0.5 * (1 + np.tanh(logits.astype(np.float64) / 2))
    return half
