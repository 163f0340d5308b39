import numpy as np
import pytest

from services.search_api.engine.rankings import best_first, by_scores, fused, sigmoid


def test_candidates_are_ordered_by_score_and_padded() -> None:
    candidates = [np.array([7, 8, 9]), np.array([4])]
    scores = [np.array([0.1, 0.3, 0.3], np.float32), np.array([-1.0], np.float32)]
    rows, best = by_scores(candidates, scores, 2)
    assert rows.tolist() == [[8, 9], [4, -1]]
    np.testing.assert_allclose(best, [[0.3, 0.3], [-1.0, -np.inf]])


def test_no_candidates_are_an_empty_ranking() -> None:
    rows, _ = by_scores([np.empty(0, np.int64)], [np.empty(0, np.float32)], 2)
    assert rows.tolist() == [[-1, -1]]


def test_rankings_are_fused_by_query() -> None:
    rows, scores = fused(np.array([[1, 2], [3, -1]]), np.array([[2, 5], [-1, -1]]), 3)
    assert rows.tolist() == [[2, 1, 5], [3, -1, -1]]
    assert scores[0].tolist() == pytest.approx([1 / 62 + 1 / 61, 1 / 61, 1 / 62])


def test_sigmoid_does_not_overflow() -> None:
    values = sigmoid(np.array([-1e4, -1, 0, 1, 1e4], np.float32))
    assert values.tolist() == pytest.approx([0, 1 / (1 + np.e), 0.5, np.e / (1 + np.e), 1])


def test_equal_scores_keep_their_order() -> None:
    assert best_first(np.array([1, 3, 1, 3], np.float32)) == [1, 3, 0, 2]
