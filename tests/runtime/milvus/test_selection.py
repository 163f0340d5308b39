"""A mask of passages as an expression."""

from __future__ import annotations

import numpy as np
import pytest

from ance.errors import AnceError
from ance.runtime.milvus.selection import MOST_ROWS, expression_for


def mask(length: int, *rows: int) -> np.ndarray:
    allowed = np.zeros(length, bool)
    allowed[list(rows)] = True
    return allowed


def test_the_fewer_are_named() -> None:
    assert expression_for(mask(10, 3, 5), "row") == "row in [3, 5]"
    assert expression_for(~mask(10, 3, 5), "row") == "row not in [3, 5]"
    assert expression_for(~mask(10), "row") == ""


def test_a_mask_that_names_too_many_either_way_is_refused() -> None:
    few, many = (np.arange(4 * MOST_ROWS) < named for named in (MOST_ROWS, MOST_ROWS + 1))
    assert expression_for(few, "row").endswith(f"{MOST_ROWS - 1}]")
    assert expression_for(~few, "row").startswith("row not in [0,")
    for allowed in (many, ~many):
        with pytest.raises(AnceError, match=f"{allowed.sum()} of {len(allowed)} passages.*at most {MOST_ROWS}"):
            expression_for(allowed, "row")
