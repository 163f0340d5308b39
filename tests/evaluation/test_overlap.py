import numpy as np
import pytest

from ance.evaluation.overlap import overlap


def test_overlap_is_the_mean_share_of_a_that_is_in_b() -> None:
    a = np.array([[1, 2, 3, 4], [5, 6, 7, 8]])
    b = np.array([[4, 3, 9], [5, 6, 7]])

    assert overlap(a, b) == pytest.approx((2 / 4 + 3 / 4) / 2)
    assert overlap(b, a) == pytest.approx((2 / 3 + 3 / 3) / 2)


def test_queries_are_not_mixed() -> None:
    assert overlap(np.array([[1], [2]]), np.array([[2], [1]])) == 0.0


def test_padding_is_no_passage() -> None:
    assert overlap(np.array([[1, 2, -1, -1]]), np.array([[2, -1]])) == 0.5


def test_padding_does_not_match_a_row_of_the_query_before() -> None:
    assert overlap(np.array([[9, 8], [3, 2]]), np.array([[8, 9], [-1, -1]])) == 0.5


def test_queries_with_nothing_in_a_are_left_out() -> None:
    assert overlap(np.array([[1, 2], [-1, -1]]), np.array([[1, 2], [1, 2]])) == 1.0
    assert overlap(np.array([[-1]]), np.array([[1]])) == 0.0


def test_rankings_of_different_queries_cannot_be_compared() -> None:
    with pytest.raises(ValueError, match="2 and 1 queries"):
        overlap(np.zeros((2, 3), np.int64), np.zeros((1, 3), np.int64))
