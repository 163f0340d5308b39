"""Searching only among some passages: a mask as an expression of Milvus."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ance.errors import AnceError

MOST_ROWS = 16_384
"""Rows that an expression may name. A larger one costs more to read than the search."""


def expression_for(allowed: NDArray[np.bool_], field: str) -> str:
    """An expression that is true of the allowed rows, bool [passages]; empty if all are.

    Raises:
        AnceError: too many rows would have to be named, whether allowed or not.
    """
    if allowed.all():
        return ""
    named, operator = (allowed, "in") if 2 * allowed.sum() <= len(allowed) else (~allowed, "not in")
    rows = np.flatnonzero(named)
    if len(rows) > MOST_ROWS:
        raise AnceError(
            f"{int(allowed.sum())} of {len(allowed)} passages are allowed: an index in Milvus can be told of at most "
            f"{MOST_ROWS} that are, or are not"
        )
    return f"{field} {operator} {rows.tolist()}"
