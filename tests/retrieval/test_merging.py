"""A corpus in parts ranks as the corpus in one."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ance.retrieval.merging import merge_rankings
from ance.retrieval.topk import StreamingTopK


@settings(deadline=None)
@given(
    cuts=st.lists(st.integers(0, 40), max_size=4).map(sorted),
    k=st.integers(1, 50),
    levels=st.integers(1, 4),
    seed=st.integers(0, 100),
)
def test_merged_rankings_are_the_ranking_of_the_whole(cuts: list[int], k: int, levels: int, seed: int) -> None:
    """Few levels of scores make ties, k beyond the corpus makes empty places, equal cuts make empty parts."""
    rng = np.random.default_rng(seed)
    queries = rng.integers(-levels, levels + 1, (3, 2)).astype(np.float32)
    passages = rng.integers(-levels, levels + 1, (40, 2)).astype(np.float32)

    def ranking(start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
        top = StreamingTopK(queries, k)
        top.add(passages[start:stop], np.arange(start, stop))
        return top.result()

    edges = [0, *cuts, 40]
    rows, scores = merge_rankings([ranking(*edge) for edge in pairwise(edges)], k)
    expected_rows, expected_scores = ranking(0, 40)
    np.testing.assert_array_equal(rows, expected_rows)
    np.testing.assert_array_equal(scores, expected_scores)
    assert rows.dtype == np.int64 and scores.dtype == np.float32


def test_rankings_of_different_widths_merge() -> None:
    """A part that is smaller than k gives fewer."""
    small = np.array([[7]]), np.array([[2.0]], np.float32)
    large = np.array([[1, 3, -1]]), np.array([[3.0, 1.0, -np.inf]], np.float32)
    rows, scores = merge_rankings([small, large], 4)
    assert rows.tolist() == [[1, 7, 3, -1]]
    assert scores.tolist() == [[3.0, 2.0, 1.0, -np.inf]]
