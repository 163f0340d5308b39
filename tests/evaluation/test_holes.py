"""Judged@k and the hole rate, against ir-measures."""

import ir_measures
import numpy as np
import pytest
from ir_measures import Judged

from ance.data.qrels import Qrels
from ance.evaluation.holes import hole_rate, judged_at


def random_world(seed: int) -> tuple[Qrels, np.ndarray]:
    """12 queries over 40 passages, rankings of 0 to 15 of them."""
    rng = np.random.default_rng(seed)
    pairs = rng.permutation(12 * 40)[:120]
    qrels = Qrels.build(12, pairs // 40, pairs % 40, rng.integers(0, 3, 120).astype(np.int32))
    ids = np.stack([rng.permutation(40)[:15] for _ in range(12)])
    return qrels, np.where(np.arange(15) < rng.integers(0, 16, (12, 1)), ids, -1)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("k", [1, 10])
def test_judged_at_k_is_that_of_ir_measures(seed: int, k: int) -> None:
    qrels, ids = random_world(seed)
    judged = judged_at(qrels, ids, k)
    run = {
        str(query): {str(row): -float(rank) for rank, row in enumerate(line.tolist()) if row >= 0}
        for query, line in enumerate(ids)
        if (line >= 0).any()
    }
    grades = {
        str(query): {
            str(row): int(grade)
            for row, grade in zip(
                qrels.passages[qrels.indptr[query] : qrels.indptr[query + 1]].tolist(),
                qrels.grades[qrels.indptr[query] : qrels.indptr[query + 1]].tolist(),
                strict=True,
            )
        }
        for query in range(12)
    }
    expected = {metric.query_id: metric.value for metric in ir_measures.iter_calc([Judged @ k], grades, run)}
    for query in range(12):
        assert judged[query] == pytest.approx(expected[str(query)])


def test_a_judgement_of_grade_0_fills_a_hole_and_a_query_without_judgements_does_not_count() -> None:
    qrels = Qrels.build(3, np.array([0, 0, 1]), np.array([5, 6, 5]), np.array([0, 2, 1], np.int32))
    ids = np.array([[5, 6, 7, 8], [1, 2, 3, 4], [5, 6, 7, 8]])
    np.testing.assert_array_equal(judged_at(qrels, ids, 4), [0.5, 0.0, np.nan])
    assert hole_rate(qrels, ids, 4) == 0.75
    assert hole_rate(qrels, ids, 2) == 0.5
