"""Scores of pairs, against a plain dictionary."""

from pathlib import Path

import numpy as np
from numpy.testing import assert_array_equal

from ance.negatives.pair_scores import PairScores, pairs_of, rows_of

QUERIES = np.array([3, 0, 2_000_000_000])
PASSAGES = np.array([[5, 1, -1], [4_000_000_000, 5, 0], [7, -1, -1]])
SCORES = {(3, 5): 2.0, (3, 1): -4.0, (0, 4_000_000_000): 0.5, (2_000_000_000, 7): 9.0}


def known() -> PairScores:
    queries, passages = (np.array(rows) for rows in zip(*SCORES, strict=True))
    return PairScores.of(pairs_of(queries, passages[:, None])[:, 0], np.array([*SCORES.values()], np.float32))


def test_a_pair_is_one_number_and_can_be_told_apart_again() -> None:
    pairs = pairs_of(QUERIES, PASSAGES)
    assert_array_equal(pairs == -1, PASSAGES == -1)
    queries, passages = rows_of(pairs[pairs >= 0])
    assert [*zip(queries.tolist(), passages.tolist(), strict=True)] == [
        (3, 5), (3, 1), (0, 4_000_000_000), (0, 5), (0, 0), (2_000_000_000, 7)
    ]  # fmt: skip


def test_scores_are_looked_up_by_pair_and_unknown_ones_are_nan() -> None:
    found = known().look_up(pairs_of(QUERIES, PASSAGES))
    expected = [
        [SCORES.get((query, passage), np.nan) for passage in row]
        for query, row in zip(QUERIES.tolist(), PASSAGES.tolist(), strict=True)
    ]
    assert found.dtype == np.float32
    assert_array_equal(found, np.array(expected, np.float32))
    assert np.isnan(PairScores.none().look_up(pairs_of(QUERIES, PASSAGES))).all()


def test_missing_pairs_are_distinct_ascending_and_no_padding() -> None:
    pairs = pairs_of(QUERIES, PASSAGES)
    missing = known().missing(np.concatenate([pairs, pairs]))
    assert_array_equal(missing, np.sort(pairs_of(np.array([0]), np.array([[0, 5]]))[0]))
    assert_array_equal(PairScores.none().missing(pairs), np.unique(pairs[pairs >= 0]))


def test_of_two_scores_of_a_pair_the_first_counts() -> None:
    other = PairScores.of(np.array([1, *known().pairs[:1]]), np.array([7, 100], np.float32))
    both = known().and_also(other)
    assert len(both) == len(known()) + 1
    assert_array_equal(both.look_up(known().pairs), known().scores)
    assert both.look_up(np.array([1])) == 7
    assert_array_equal(both.only(other.pairs).pairs, other.pairs)


def test_margins_are_of_the_positive_against_each_negative() -> None:
    queries, positives = np.array([3, 0]), np.array([5, 4_000_000_000])
    margins = known().margins(queries, positives, np.array([[1, 5], [5, 4_000_000_000]]))
    assert_array_equal(margins, np.array([[6, 0], [np.nan, 0]], np.float32))


def test_what_is_saved_is_found_again(tmp_path: Path) -> None:
    known().save(tmp_path, "teacher_")
    opened = PairScores.open(tmp_path, "teacher_")
    assert_array_equal(opened.pairs, known().pairs)
    assert_array_equal(opened.look_up(known().pairs[2:]), known().scores[2:])
