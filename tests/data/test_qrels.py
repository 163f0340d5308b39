from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ance.data.qrels import Qrels

Triple = tuple[int, int, int]
TRIPLES = st.dictionaries(st.tuples(st.integers(0, 5), st.integers(0, 9)), st.integers(-1, 3), max_size=30)


def build(rows: int, triples: list[Triple]) -> Qrels:
    columns = np.array(triples, np.int64).reshape(-1, 3)
    return Qrels.build(rows, columns[:, 0], columns[:, 1], columns[:, 2].astype(np.int32))


QRELS = build(4, [(2, 5, 1), (0, 9, 2), (0, 3, 1), (1, 4, 0), (0, 7, 0)])


def test_all_positives_of_a_query_are_kept_in_passage_order() -> None:
    assert QRELS.positives(0).tolist() == [3, 9]
    assert QRELS.positives(0, min_grade=2).tolist() == [9]
    assert QRELS.positives(0, min_grade=0).tolist() == [3, 7, 9]


def test_a_query_that_is_only_judged_as_not_relevant_has_no_positive() -> None:
    assert QRELS.positives(1).tolist() == []
    assert QRELS.positive_counts().tolist() == [2, 0, 1, 0]


def test_padded_positives_have_a_line_a_query_in_the_order_asked_for() -> None:
    assert QRELS.padded_positives(np.array([2, 1, 0])).tolist() == [[5, -1], [-1, -1], [3, 9]]
    assert QRELS.padded_positives(np.array([1, 3])).shape == (2, 0)
    assert QRELS.padded_positives(np.empty(0, np.int64)).shape == (0, 0)


@settings(deadline=None)
@given(judged=TRIPLES, grade=st.integers(0, 3), rows=st.lists(st.integers(0, 5), max_size=8))
def test_padded_positives_agree_with_positives(judged: dict[tuple[int, int], int], grade: int, rows: list[int]) -> None:
    qrels = build(6, [(*pair, value) for pair, value in judged.items()])
    padded = qrels.padded_positives(np.array(rows, np.int64), grade)
    assert padded.dtype == np.int64
    for line, row in zip(padded, rows, strict=True):
        expected = sorted(passage for (query, passage), value in judged.items() if query == row and value >= grade)
        assert line[line >= 0].tolist() == expected == qrels.positives(row, grade).tolist()
        assert (line[len(expected) :] == -1).all()


def test_judgements_are_the_same_after_they_were_saved(tmp_path: Path) -> None:
    QRELS.save(tmp_path)
    reopened = Qrels.open(tmp_path)
    assert reopened.queries == 4
    assert reopened.grades.dtype == np.int32
    assert all((ours == theirs).all() for ours, theirs in zip(reopened, QRELS, strict=True))
