"""How much two rankings of the same queries have in common."""

import numpy as np
from numpy.typing import NDArray


def overlap(a: NDArray[np.int64], b: NDArray[np.int64]) -> float:
    """Mean over queries of |A n B| / |A|, the share of A's passages that are also in B (paper, Figure 3).

    Args:
        a: int64 [Q, k], distinct passage rows of each query; -1 is padding. Queries with none are left out.
        b: int64 [Q, m], the same.

    Returns:
        Between 0 and 1; 0 if every query is left out.

    Raises:
        ValueError: a and b have different numbers of queries.
    """
    if len(a) != len(b):
        raise ValueError(f"overlap of rankings of {len(a)} and {len(b)} queries")
    present = a >= 0
    sizes = present.sum(axis=1)
    width = 1 + max(a.max(initial=0), b.max(initial=0))
    lines = np.arange(len(a))[:, None] * width
    common = (present & np.isin(a + lines, (b + lines)[b >= 0])).sum(axis=1)
    counted = sizes > 0
    return float((common[counted] / sizes[counted]).mean()) if counted.any() else 0.0
