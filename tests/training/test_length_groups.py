import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ance.training.length_groups import length_groups


def groups(lengths: list[int], least_saving: int) -> list[list[int]]:
    return [rows.tolist() for rows in length_groups(np.array(lengths, dtype=np.int64), least_saving)]


def padded_tokens(lengths: list[int], grouped: list[list[int]]) -> int:
    return sum(len(rows) * max(lengths[row] for row in rows) for rows in grouped)


def test_the_cut_is_where_it_saves_the_most_padding():
    assert groups([100, 10, 90, 12], least_saving=100) == [[1, 3], [2, 0]]


def test_a_cut_that_saves_too_little_is_not_made():
    assert groups([100, 10, 90, 12], least_saving=200) == [[1, 3, 2, 0]]


def test_every_cut_that_is_worth_it_is_made():
    assert groups([1, 2, 50, 51, 200], least_saving=40) == [[0, 1], [2, 3], [4]]


def test_one_text_is_one_group():
    assert groups([5], least_saving=1) == [[0]]


@given(st.lists(st.integers(1, 512), min_size=1, max_size=40), st.integers(1, 500))
def test_each_text_is_in_one_group_and_every_cut_paid_for_itself(lengths, least_saving):
    grouped = groups(lengths, least_saving)
    assert sorted(row for rows in grouped for row in rows) == list(range(len(lengths)))
    saved = len(lengths) * max(lengths) - padded_tokens(lengths, grouped)
    assert saved >= (len(grouped) - 1) * least_saving
