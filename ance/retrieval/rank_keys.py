"""A score and a passage row in one integer, so that a ranking is an order of integers.

The upper 32 bits are the score, mapped so that unsigned integers order as the floats do; the lower 32 bits are
the complement of the row. A larger key is a higher score or, between equal scores, a smaller row. This order is
total, so the k largest keys of a set are the same however the set was cut and in whatever order it was merged.
"""

import numpy as np
from numpy.typing import NDArray

MAX_ROWS = 2**32 - 1
"""Passage rows are below this; the last value of 32 bits stands for no passage."""

NO_PASSAGE = np.uint64(0x007F_FFFF_0000_0000)
"""The key of an empty place, row -1 with score -inf: less than that of any passage with a finite score."""

_SIGN = np.int32(-(2**31))


def rank_keys(scores: NDArray[np.float32], complements: NDArray[np.uint32]) -> NDArray[np.uint64]:
    """Keys of passages, the best the largest.

    Args:
        scores: float32 of any shape, no NaN. -0.0 and 0.0 are equal.
        complements: uint32, `complement(rows)`, broadcast against the scores.
    """
    bits = (scores + np.float32(0)).view(np.int32)
    keys = ((bits >> 31 | _SIGN) ^ bits).view(np.uint32).astype(np.uint64)
    keys <<= np.uint64(32)
    keys |= complements
    return keys


def complement(rows: NDArray[np.int64]) -> NDArray[np.uint32]:
    """The lower half of the keys of passage rows.

    Raises:
        ValueError: a row is negative or does not fit.
    """
    if len(rows) and not 0 <= rows.min() <= rows.max() < MAX_ROWS:
        raise ValueError(f"passage rows must be in [0, {MAX_ROWS}), found {rows.min()} to {rows.max()}")
    return (MAX_ROWS - rows).astype(np.uint32)


def scores_of(keys: NDArray[np.uint64]) -> NDArray[np.float32]:
    """The scores in the keys, -inf where there is no passage."""
    upper = (keys >> np.uint64(32)).astype(np.uint32).view(np.int32)
    return ((~upper >> 31 | _SIGN) ^ upper).view(np.float32)


def rows_of(keys: NDArray[np.uint64]) -> NDArray[np.int64]:
    """The passage rows in the keys, -1 where there is no passage."""
    rows = MAX_ROWS - (keys & np.uint64(MAX_ROWS)).astype(np.int64)
    rows[rows == MAX_ROWS] = -1
    return rows
