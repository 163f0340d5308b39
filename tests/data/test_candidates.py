from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ance.data.candidates import Candidates


def test_the_candidates_of_a_query_keep_their_order_and_count_once() -> None:
    queries = np.array([1, 0, 1, 1, 0, 1])
    passages = np.array([7, 3, 5, 7, 9, 2])
    found = Candidates.build(3, queries, passages)
    assert found.padded().tolist() == [[3, 9, -1], [7, 5, 2], [-1, -1, -1]]


def test_no_more_than_asked_for_are_given() -> None:
    found = Candidates.build(2, np.array([0, 0, 0, 1]), np.array([4, 6, 5, 1]))
    assert found.padded(2).tolist() == [[4, 6], [1, -1]]
    assert found.padded(9).shape == (2, 3)


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 6)), max_size=40))
def test_a_list_is_what_a_query_was_given_without_repeats(pairs: list[tuple[int, int]]) -> None:
    queries, passages = (np.array([pair[column] for pair in pairs], np.int64) for column in (0, 1))
    padded = Candidates.build(5, queries, passages).padded()
    for query in range(5):
        expected = list(dict.fromkeys(passage for one, passage in pairs if one == query))
        assert [row for row in padded[query].tolist() if row >= 0] == expected


def test_what_is_saved_is_opened_and_nothing_saved_is_none(tmp_path: Path) -> None:
    found = Candidates.build(2, np.array([0, 1]), np.array([4, 6]))
    found.save(tmp_path / "there")
    opened = Candidates.open(tmp_path / "there")
    assert opened is not None and opened.padded().tolist() == [[4], [6]]
    assert Candidates.open(tmp_path / "nowhere") is None
