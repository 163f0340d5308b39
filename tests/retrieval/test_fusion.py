"""Reciprocal rank fusion, on values worked out by hand."""

import numpy as np
import pytest

from ance.retrieval.fusion import reciprocal_rank_fusion


def rows(*values: int) -> np.ndarray:
    return np.array(values, dtype=np.int64)


def test_a_passage_scores_the_sum_of_its_reciprocal_ranks() -> None:
    ids, scores = reciprocal_rank_fusion([rows(7, 3, 9), rows(3, 5)], k=10)
    assert ids.tolist() == [3, 7, 5, 9]
    np.testing.assert_allclose(scores, [1 / 62 + 1 / 61, 1 / 61, 1 / 62, 1 / 63], rtol=1e-6)
    assert (ids.dtype, scores.dtype) == (np.int64, np.float32)


def test_a_small_constant_lets_the_first_ranks_stand_out() -> None:
    one, other = rows(1, 2, 3), rows(4, 2, 3)
    assert reciprocal_rank_fusion([one, other], k=1, constant=60)[0].tolist() == [2]
    assert reciprocal_rank_fusion([one, other], k=2, constant=0)[0].tolist() == [1, 2]


def test_equal_scores_rank_by_the_smaller_row() -> None:
    assert reciprocal_rank_fusion([rows(9), rows(4)], k=2)[0].tolist() == [4, 9]


def test_padding_is_no_passage_and_keeps_the_ranks_behind_it() -> None:
    ids, scores = reciprocal_rank_fusion([rows(-1, 8, -1)], k=3)
    assert ids.tolist() == [8]
    assert scores[0] == pytest.approx(1 / 62)


def test_only_k_passages_come_back() -> None:
    assert reciprocal_rank_fusion([rows(1, 2, 3, 4)], k=2)[0].tolist() == [1, 2]


@pytest.mark.parametrize("rankings", [[], [rows()], [rows(-1), rows()]])
def test_rankings_of_nothing_fuse_to_nothing(rankings: list[np.ndarray]) -> None:
    ids, scores = reciprocal_rank_fusion(rankings, k=5)
    assert ids.shape == scores.shape == (0,)
