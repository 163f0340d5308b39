"""Vectors of passages in the shards of a refresh."""

from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from ance.errors import AnceError
from ance.training.fixed_passages import FixedPassages

ALL = np.random.default_rng(0).standard_normal((25, 4), np.float32)


def saved(folder: Path) -> Path:
    # Of 12 shards the last is short, and sorts before the third by name.
    for shard, start in enumerate(range(0, 25, 2)):
        np.save(folder / f"{shard}.npy", ALL[start : start + 2])
    return folder


def test_rows_are_found_in_any_order_and_more_than_once(tmp_path: Path) -> None:
    passages = FixedPassages.open(saved(tmp_path))
    rows = np.array([24, 0, 7, 7, 20, 1])
    assert_array_equal(passages.vectors(rows), ALL[rows])
    assert len(passages) == 25
    assert passages.vectors(rows[:0]).shape == (0, 4)


def test_a_folder_without_shards_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AnceError, match="no vectors of passages here"):
        FixedPassages.open(tmp_path)
