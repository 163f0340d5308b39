"""Filters of candidates that are likely to be relevant, on values worked out by hand."""

import numpy as np
from numpy.testing import assert_array_equal

from ance.negatives.filters import holding_answers, positive_scores, within_margin

IDS = np.array([[4, 7, 2, 9], [4, 7, 2, 9], [4, 7, -1, -1], [-1, -1, -1, -1]])
SCORES = np.array([[8, 6, 4, 2], [8, 6, 4, 2], [3, -5, -np.inf, -np.inf], [-np.inf] * 4], dtype=np.float32)


def test_the_best_ranked_positive_counts() -> None:
    positives = np.array([[2, 7], [9, -1], [7, 4], [1, -1]])
    assert positive_scores(IDS, SCORES, positives).tolist() == [6, 2, 3, 0]


def test_the_last_score_stands_in_for_a_positive_that_is_not_ranked() -> None:
    positives = np.array([[5, 6], [-1, -1], [1, -1], [1, -1]])
    assert positive_scores(IDS, SCORES, positives).tolist() == [2, 2, -5, 0]


def test_a_relative_margin_is_a_share_of_the_positives_score() -> None:
    scores = np.array([[11, 10, 9.6, 9.5, 9.4, 1]], dtype=np.float32)
    near = within_margin(scores, np.array([10], np.float32), relative=0.05)
    assert near[0].tolist() == [True, True, True, False, False, False]


def test_a_negative_score_of_the_positive_has_its_margin_below_it_too() -> None:
    scores = np.array([[-9, -10, -10.4, -10.6]], dtype=np.float32)
    near = within_margin(scores, np.array([-10], np.float32), relative=0.05)
    assert near[0].tolist() == [True, True, True, False]


def test_an_absolute_margin_is_in_units_of_the_score_and_the_wider_of_two_counts() -> None:
    scores, positive = np.array([[9, 8, 7, 6]], dtype=np.float32), np.array([10], np.float32)
    assert within_margin(scores, positive, absolute=2)[0].tolist() == [True, False, False, False]
    assert within_margin(scores, positive, absolute=2, relative=0.35)[0].tolist() == [True, True, True, False]
    assert within_margin(scores, positive, absolute=3.5, relative=0.2)[0].tolist() == [True, True, True, False]


def test_without_a_margin_only_what_scores_above_the_positive_is_near() -> None:
    scores = np.array([[11, 10, 9]], dtype=np.float32)
    assert within_margin(scores, np.array([10], np.float32))[0].tolist() == [True, False, False]


def test_padding_is_never_asked_for_an_answer() -> None:
    asked: list[tuple[int, int]] = []

    def has_answer(query: int, passage: int) -> bool:
        asked.append((query, passage))
        return passage == 7

    held = holding_answers(np.arange(len(IDS)), IDS, has_answer)
    assert_array_equal(held, IDS == 7)
    assert len(asked) == 10 and min(passage for _, passage in asked) == 2
