import math
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ance.data.qrels import Qrels
from ance.errors import AnceError
from ance.evaluation.metrics import measure, per_query, unanswerable


def qrels(*queries: dict[int, int]) -> Qrels:
    """One dict of passage row -> grade a query."""
    judgements = [(row, passage, grade) for row, of in enumerate(queries) for passage, grade in of.items()]
    rows, passages, grades = np.array(judgements, np.int64).reshape(-1, 3).T
    return Qrels.build(len(queries), rows, passages, grades.astype(np.int32))


def ranked(*passages: int, depth: int = 20) -> list[int]:
    return [*passages, *range(1000, 1000 + depth - len(passages))]


def test_rr_is_the_reciprocal_rank_of_the_first_relevant_passage() -> None:
    values = per_query(qrels({5: 1, 9: 1}, {7: 1}), np.array([ranked(1, 5, 9), ranked(7)]), ["RR@10"])

    assert values["RR@10"].tolist() == [0.5, 1.0]


def test_rr_at_10_sees_rank_10_and_not_rank_11() -> None:
    fillers = range(100, 109)
    ids = np.array([ranked(*fillers, 5), ranked(*fillers, 109, 5)])

    assert per_query(qrels({5: 1}, {5: 1}), ids, ["RR@10"])["RR@10"].tolist() == [pytest.approx(0.1), 0.0]


def test_recall_is_cut_at_each_of_its_depths() -> None:
    ids = np.array([ranked(1, 2, 3, 4, 5, 6)])

    values = measure(qrels({1: 1, 4: 1, 6: 1, 99: 1}), ids, ["R@2", "R@5", "R@10"])
    assert values == {"R@2": 0.25, "R@5": 0.5, "R@10": 0.75}


def test_ndcg_gains_by_grade() -> None:
    values = measure(qrels({5: 1, 9: 2}), np.array([ranked(5, 9)]), ["nDCG@10"])

    assert values["nDCG@10"] == pytest.approx((1 + 2 / math.log2(3)) / (2 + 1 / math.log2(3)))


def test_a_passage_of_grade_0_is_not_relevant() -> None:
    assert measure(qrels({5: 0, 9: 1}), np.array([ranked(5, 9)]), ["RR@10", "R@1"]) == {
        "RR@10": 0.5,
        "R@1": 0.0,
    }


def test_queries_without_a_relevant_passage_are_left_out_and_counted() -> None:
    judgements = qrels({5: 1}, {}, {6: 0}, {7: 1})
    ids = np.array([ranked(5), ranked(1), ranked(6), ranked(8)])

    assert measure(judgements, ids, ["RR@10"]) == {"RR@10": 0.5}
    assert np.isnan(per_query(judgements, ids, ["RR@10"])["RR@10"]).tolist() == [False, True, True, False]
    assert unanswerable(judgements) == 2


def test_a_query_for_which_nothing_was_retrieved_counts_as_0() -> None:
    assert measure(qrels({5: 1}, {6: 1}), np.array([[5, -1], [-1, -1]]), ["RR@10", "R@100"]) == {
        "RR@10": 0.5,
        "R@100": 0.5,
    }


def test_nothing_retrieved_at_all_is_0() -> None:
    assert measure(qrels({5: 1}), np.empty((1, 0), np.int64), ["RR@10"]) == {"RR@10": 0.0}


def test_the_same_row_number_of_another_query_is_not_relevant() -> None:
    assert measure(qrels({5: 1}, {6: 1}), np.array([ranked(6), ranked(5)]), ["R@10"]) == {"R@10": 0.0}


def test_only_the_queries_that_were_ranked_are_measured() -> None:
    assert measure(qrels({5: 1}, {6: 1}), np.array([ranked(5)]), ["RR@10"]) == {"RR@10": 1.0}
    with pytest.raises(ValueError, match="rankings of 2 queries, judgements of 1"):
        measure(qrels({5: 1}), np.array([ranked(5), ranked(5)]))


def test_the_usual_measures_are_the_default() -> None:
    assert measure(qrels({5: 1}), np.array([ranked(5)])) == {
        "RR@10": 1.0,
        "nDCG@10": 1.0,
        "R@100": 1.0,
        "R@1000": 1.0,
    }


def test_no_relevant_passage_at_all_is_an_error() -> None:
    with pytest.raises(AnceError, match="none of the 1 queries has a relevant passage"):
        measure(qrels({5: 0}), np.array([ranked(5)]))


@pytest.mark.parametrize("name", ["MMR@10", "RR", "Judged@10", "10", "nDCG(dcg='exp-log2')@10"])
def test_a_measure_that_cannot_be_used_is_named(name: str) -> None:
    with pytest.raises(AnceError, match=rf"measure '{re.escape(name)}'.* use one of RR, nDCG, .* with a cutoff"):
        measure(qrels({5: 1}), np.array([ranked(5)]), [name])


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=30, deadline=None)
def test_values_are_those_of_the_definitions(seed: int) -> None:
    rng = np.random.default_rng(seed)
    ids = np.array([rng.permutation(60)[:40] for _ in range(5)])
    grades = [dict(zip(rng.permutation(60)[:8].tolist(), [0, 1, 2] * 3, strict=False)) for _ in range(5)]

    values = per_query(qrels(*grades), ids, ["RR@10", "nDCG@10", "R@5", "R@30", "P@20"])

    for query, judged in enumerate(grades):
        gains = np.array([judged.get(int(passage), 0) for passage in ids[query]])
        relevant = gains > 0
        ideal = np.sort([*judged.values(), *[0] * 10])[::-1][:10]
        discounts = 1 / np.log2(np.arange(2, 12))
        total = sum(grade > 0 for grade in judged.values())
        first = relevant[:10].argmax() + 1
        assert values["RR@10"][query] == pytest.approx(1 / first if relevant[:10].any() else 0)
        assert values["nDCG@10"][query] == pytest.approx(gains[:10] @ discounts / (ideal @ discounts))
        assert values["R@5"][query] == pytest.approx(relevant[:5].sum() / total)
        assert values["R@30"][query] == pytest.approx(relevant[:30].sum() / total)
        assert values["P@20"][query] == pytest.approx(relevant[:20].mean())
