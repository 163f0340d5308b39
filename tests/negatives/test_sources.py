from collections.abc import Callable

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from ance.data.qrels import Qrels
from ance.errors import AnceError
from ance.negatives.sampling import Rows
from ance.negatives.sources import ListedNegatives, MixedNegatives, NoNegatives, RandomNegatives


def judged(*positives: list[int]) -> Qrels:
    """Judgements in which query row i has the given positives."""
    rows = np.repeat(np.arange(len(positives)), [len(known) for known in positives])
    passages = np.array([passage for known in positives for passage in known], dtype=np.int64)
    return Qrels.build(len(positives), rows, passages, np.ones(len(rows), dtype=np.int32))


def int_rows(*values: int) -> Rows:
    return np.array(values, dtype=np.int64)


QRELS = judged([0], [1, 2], [3], [4])
LISTS = np.array([[10, 11, 12, 13], [20, 21, -1, -1], [3, 30, 31, 32]], dtype=np.int64)


def listed(passages: int = 50, on_fill: Callable[[int], None] = lambda count: None) -> ListedNegatives:
    """Lists of queries 2, 0 and 1, in this order: LISTS[2] holds a positive of query 2."""
    rows, random = int_rows(2, 0, 1), RandomNegatives(passages, QRELS)
    return ListedNegatives(rows, LISTS[rows], random, on_fill=on_fill)


def test_negatives_come_from_the_list_of_their_own_query():
    filled: list[int] = []
    negatives = listed(on_fill=filled.append).negatives(int_rows(1, 0), 2, np.random.default_rng(0))
    assert set(negatives[0]) == {20, 21}
    assert set(negatives[1]) < {10, 11, 12, 13}
    assert filled == []


def test_every_listed_negative_is_drawn_in_time():
    source = listed()
    rng = np.random.default_rng(0)
    drawn = np.concatenate([source.negatives(int_rows(0), 1, rng).ravel() for _ in range(100)])
    assert set(drawn) == {10, 11, 12, 13}


def test_a_listed_known_positive_is_never_drawn():
    negatives = listed().negatives(int_rows(2), 3, np.random.default_rng(0))
    assert set(negatives[0]) == {30, 31, 32}


def test_a_short_list_is_filled_with_random_passages_that_are_neither_listed_nor_positive():
    filled: list[int] = []
    negatives = listed(passages=25, on_fill=filled.append).negatives(int_rows(1), 23, np.random.default_rng(0))
    # 25 passages less two positives are exactly the 23 asked for.
    assert sorted(negatives[0]) == [row for row in range(25) if row not in (1, 2)]
    assert filled == [21]


def test_a_query_without_a_list_gets_random_negatives():
    filled: list[int] = []
    negatives = listed(on_fill=filled.append).negatives(int_rows(3, 0), 4, np.random.default_rng(0))
    assert len(set(negatives[0])) == 4
    assert 4 not in negatives[0]
    assert set(negatives[1]) == {10, 11, 12, 13}
    assert filled == [4]


def test_with_no_list_at_all_every_negative_is_random():
    filled: list[int] = []
    source = ListedNegatives(int_rows(), np.empty((0, 5), np.int64), RandomNegatives(50, QRELS), on_fill=filled.append)
    negatives = source.negatives(int_rows(0, 1), 5, np.random.default_rng(0))
    assert negatives.shape == (2, 5)
    assert (negatives >= 0).all()
    assert filled == [10]


def test_the_same_generator_state_gives_the_same_negatives():
    first, again = (listed().negatives(int_rows(0, 1, 3), 3, np.random.default_rng(5)) for _ in range(2))
    assert_array_equal(first, again)


def test_a_corpus_too_small_for_the_negatives_is_an_error_that_names_the_setting():
    with pytest.raises(AnceError, match=r"6 passages.*5 negatives.*training\.negatives_per_query"):
        RandomNegatives(6, QRELS).negatives(int_rows(0, 1), 5, np.random.default_rng(0))


def test_lists_and_query_rows_must_be_equally_many():
    with pytest.raises(ValueError, match="2 query rows do not fit 3 lists"):
        ListedNegatives(int_rows(0, 1), LISTS, RandomNegatives(50, QRELS))


def test_no_negatives_are_none():
    assert NoNegatives().negatives(int_rows(0, 1), 3, np.random.default_rng(0)).shape == (2, 0)


def mixed() -> MixedNegatives:
    """Lists, and another list in which every query has 40 to 43."""
    rows = int_rows(0, 1, 2)
    other = ListedNegatives(rows, np.tile(np.arange(40, 44), (3, 1)), RandomNegatives(50, QRELS))
    return MixedNegatives([listed(), other])


def test_a_mixture_takes_turns_between_its_sources():
    negatives = mixed().negatives(int_rows(0, 2, 0), 4, np.random.default_rng(0))
    assert ((negatives >= 40).sum(axis=1) == 2).all()
    assert all(len(set(row)) == 4 for row in negatives.tolist())


def test_with_one_negative_each_source_of_a_mixture_has_the_same_chance():
    negatives = mixed().negatives(np.zeros(4000, np.int64), 1, np.random.default_rng(0))
    assert abs((negatives >= 40).sum() - 2000) < 160  # five standard deviations


def test_what_two_sources_draw_both_comes_once_and_the_gap_is_filled():
    source = MixedNegatives([listed(), listed()])
    for seed in range(20):
        negatives = source.negatives(int_rows(0), 4, np.random.default_rng(seed))
        assert sorted(negatives[0].tolist()) == [10, 11, 12, 13]
