"""An index in parts finds what the index in one finds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from ance.errors import AnceError
from ance.retrieval.index import IndexBuilder, PassageIndex
from ance.retrieval.interfaces import SearchableIndex
from ance.retrieval.ranged_index import open_index, save_ranges

RNG = np.random.default_rng(3)
VECTORS = RNG.standard_normal((90, 8), np.float32)
QUERIES = RNG.standard_normal((5, 8), np.float32)


def built(folder: Path, start: int, stop: int) -> None:
    builder = IndexBuilder("Flat", 8, 1000)
    builder.add(VECTORS[start:stop], np.arange(start, stop))
    builder.finish(folder)


@pytest.fixture
def whole(tmp_path: Path) -> SearchableIndex:
    built(tmp_path / "whole", 0, 90)
    return PassageIndex.open(tmp_path / "whole")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Of an index in two parts. A third folder is of nobody's."""
    for name, start, stop in (("0-a", 0, 60), ("1-b", 60, 90), ("1-c", 0, 90)):
        built(tmp_path / "ranges" / name, start, stop)
    save_ranges(tmp_path, ["ranges/0-a", "ranges/1-b"])
    return tmp_path


@pytest.mark.parametrize("k", [1, 40, 90, 200])
@pytest.mark.parametrize("allowed", [None, np.arange(90) % 3 == 0])
def test_the_parts_find_together_what_the_whole_finds(
    folder: Path, whole: SearchableIndex, k: int, allowed: NDArray[np.bool_] | None
) -> None:
    parts = open_index(folder)
    assert (parts.size, parts.dim) == (whole.size, whole.dim) == (90, 8)
    rows, scores = parts.search(QUERIES, k, allowed)
    expected_rows, expected_scores = whole.search(QUERIES, k, allowed)
    np.testing.assert_array_equal(rows, expected_rows)
    np.testing.assert_allclose(scores, expected_scores, rtol=1e-6)


def test_an_index_in_one_part_is_opened_as_it_is(folder: Path) -> None:
    assert isinstance(open_index(folder / "ranges" / "0-a"), PassageIndex)


def test_a_part_that_is_missing_is_said(folder: Path) -> None:
    (folder / "ranges" / "1-b" / "index.faiss").unlink()
    with pytest.raises(AnceError, match=r"ranges/1-b: cannot read the index"):
        open_index(folder)
