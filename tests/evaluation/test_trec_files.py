from pathlib import Path

import numpy as np
import pytest
import pytrec_eval

from ance.data.qrels import Qrels
from ance.errors import AnceError
from ance.evaluation.measures import MEASURES
from ance.evaluation.metrics import per_query
from ance.evaluation.trec import write_qrels, write_run
from ance.evaluation.trec_files import per_query_of_run, read_qrels, read_run


def test_a_run_that_was_written_has_the_measures_of_the_ranking(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    pairs = rng.permutation(9 * 50)[:90]
    qrels = Qrels.build(9, pairs // 50, pairs % 50, rng.integers(0, 3, 90).astype(np.int32))
    ids = np.stack([rng.permutation(50)[:20] for _ in range(9)])
    queries, passages = [f"q {row}" for row in range(9)], [f"p{row}" for row in range(50)]
    write_run(tmp_path / "a.run", queries, passages, ids, -np.tile(np.arange(20, dtype=np.float32), (9, 1)), "a")
    write_qrels(tmp_path / "a.qrels", queries, passages, qrels)
    found = per_query_of_run(read_qrels(tmp_path / "a.qrels"), read_run(tmp_path / "a.run"), MEASURES)
    expected = per_query(qrels, ids, MEASURES)
    for name in MEASURES:
        np.testing.assert_allclose(found[name], expected[name][~np.isnan(expected[name])])


def test_trec_eval_measures_the_ranking_that_was_written_whatever_its_ties(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    qrels = Qrels.build(40, np.arange(40), rng.integers(0, 20, 40), np.ones(40, np.int32))
    ids = np.stack([rng.permutation(20) for _ in range(40)])
    scores = np.sort(rng.integers(0, 3, (40, 20)).astype(np.float32))[:, ::-1]
    queries, passages = [f"q{row}" for row in range(40)], [f"p{row}" for row in range(20)]
    write_run(tmp_path / "a.run", queries, passages, ids, scores, "a")
    write_qrels(tmp_path / "a.qrels", queries, passages, qrels)
    with (tmp_path / "a.qrels").open() as judged, (tmp_path / "a.run").open() as run:
        evaluator = pytrec_eval.RelevanceEvaluator(pytrec_eval.parse_qrel(judged), {"recip_rank", "ndcg_cut.10"})
        theirs = evaluator.evaluate(pytrec_eval.parse_run(run))
    ours = per_query(qrels, ids, ["RR@20", "nDCG@10"])
    np.testing.assert_allclose(ours["RR@20"], [theirs[query]["recip_rank"] for query in queries])
    np.testing.assert_allclose(ours["nDCG@10"], [theirs[query]["ndcg_cut_10"] for query in queries])


def test_all_measures_of_another_tools_run_are_of_trec_evals_order() -> None:
    tied = {"q": {"a": 1.0, "b": 1.0, "c": 1.0 + 1e-9}}
    found = per_query_of_run({"q": {"a": 1}}, tied, ["RR@10", "AP@10", "P@1"])
    evaluator = pytrec_eval.RelevanceEvaluator({"q": {"a": 1}}, {"recip_rank", "map_cut.10", "P.1"})
    theirs = evaluator.evaluate(tied)["q"]
    assert [found[name][0] for name in ("RR@10", "AP@10", "P@1")] == [
        theirs[name] for name in ("recip_rank", "map_cut_10", "P_1")
    ]
    assert found["RR@10"][0] == pytest.approx(1 / 3), "equal as float32: c, then b, then a"


def test_a_query_that_the_run_lacks_counts_as_0_and_one_without_a_relevant_passage_not_at_all() -> None:
    qrels = {"q1": {"a": 1}, "q2": {"a": 1}, "q3": {"a": 0}}
    assert per_query_of_run(qrels, {"q2": {"b": 2.0, "a": 1.0}}, ["RR@10"])["RR@10"].tolist() == [0.0, 0.5]
    with pytest.raises(AnceError, match="none of the 1 queries has a relevant passage"):
        per_query_of_run({"q": {"a": 0}}, {}, ["RR@10"])


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("q1 Q0 a 1 x tag", r"bad:2: could not convert string to float: 'x'; expected 6 columns: query Q0 passage"),
        ("q1 Q0 a 1 2.0", r"bad:2: found 5 columns; expected 6 columns"),
        ("q1 Q0 b 1 2.0 tag", r"bad:2: query 'q1' has passage 'b' before; remove one"),
    ],
)
def test_a_line_that_is_none_of_a_run_is_named(tmp_path: Path, line: str, message: str) -> None:
    (tmp_path / "bad").write_text(f"q1 Q0 b 1 3.0 tag\n{line}\n")
    with pytest.raises(AnceError, match=message):
        read_run(tmp_path / "bad")


def test_qrels_with_a_grade_that_is_no_integer_or_no_line_are_refused(tmp_path: Path) -> None:
    (tmp_path / "qrels").write_text("q1 0 a 0.5\n")
    with pytest.raises(AnceError, match=r"qrels:1: .*'0.5'; expected 4 columns: query 0 passage grade"):
        read_qrels(tmp_path / "qrels")
    (tmp_path / "qrels").write_text("\n")
    with pytest.raises(AnceError, match="has no line"):
        read_qrels(tmp_path / "qrels")
