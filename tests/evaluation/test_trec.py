from collections.abc import Sequence
from pathlib import Path

import ir_measures
import numpy as np
import pytest
from ir_measures import RR

from ance.data.qrels import Qrels
from ance.errors import AnceError
from ance.evaluation.trec import write_qrels, write_run

IDS = np.array([[1, 0], [2, -1]])
SCORES = np.array([[2.5, 1 / 3], [-0.5, -np.inf]], np.float32)
QRELS = Qrels.build(2, np.array([0, 1, 0]), np.array([0, 2, 2]), np.array([1, 2, 0]))


def write(path: Path, passages: Sequence[str] = ("a", "b", "c"), tag: str = "ance") -> None:
    write_run(path, ["q1", "q2"], passages, IDS, SCORES, tag)


def test_a_run_has_six_columns_and_ranks_from_1(tmp_path: Path) -> None:
    write(tmp_path / "run.trec")

    assert (tmp_path / "run.trec").read_text() == (
        "q1 Q0 b 1 2.5 ance\nq1 Q0 a 2 0.333333343 ance\nq2 Q0 c 1 -0.5 ance\n"
    )


def test_judgements_have_four_columns(tmp_path: Path) -> None:
    write_qrels(tmp_path / "qrels.trec", ["q1", "q2"], ["a", "b", "c"], QRELS)

    assert (tmp_path / "qrels.trec").read_text() == "q1 0 a 1\nq1 0 c 0\nq2 0 c 2\n"


def test_scores_read_back_as_the_same_float32(tmp_path: Path) -> None:
    write(tmp_path / "run.trec")

    fields = [line.split() for line in (tmp_path / "run.trec").read_text().splitlines()]
    assert [np.float32(score) for *_, score, _ in fields] == [SCORES[0, 0], SCORES[0, 1], SCORES[1, 0]]


def test_equal_scores_are_lowered_until_they_fall(tmp_path: Path) -> None:
    ids, scores = np.array([[0, 1, 2]]), np.array([[1.0, 1.0, 1.0]], np.float32)
    write_run(tmp_path / "run.trec", ["q"], ["a", "b", "c"], ids, scores, "x")

    read = [np.float32(line.split()[4]) for line in (tmp_path / "run.trec").read_text().splitlines()]
    assert read[0] == 1 and read[0] > read[1] > read[2] > 0.999999


def test_white_space_in_ids_is_encoded_alike_in_both_files(tmp_path: Path) -> None:
    queries, passages = ["q\u00a01", "q\t2"], ["linux/a b", "b\u2003c", "100%"]
    write_run(tmp_path / "run.trec", queries, passages, IDS, SCORES, "ance")
    write_qrels(tmp_path / "qrels.trec", queries, passages, QRELS)

    run = list(ir_measures.read_trec_run(str(tmp_path / "run.trec")))
    judged = list(ir_measures.read_trec_qrels(str(tmp_path / "qrels.trec")))
    assert [(doc.query_id, doc.doc_id) for doc in run] == [
        ("q%C2%A01", "b%E2%80%83c"),
        ("q%C2%A01", "linux/a%20b"),
        ("q%092", "100%"),
    ]
    assert {value.query_id: value.value for value in ir_measures.iter_calc([RR], judged, run)} == {
        "q%C2%A01": 0.5,
        "q%092": 1.0,
    }


def test_a_tag_that_the_format_cannot_hold_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AnceError, match="tag 'my run'"):
        write(tmp_path / "run.trec", tag="my run")


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    write(tmp_path / "run.trec")
    before = (tmp_path / "run.trec").read_bytes()

    with pytest.raises(IndexError):
        write_run(tmp_path / "run.trec", ["q1"], ["a", "b", "c"], IDS, SCORES, "ance")

    assert [file.name for file in tmp_path.iterdir()] == ["run.trec"]
    assert (tmp_path / "run.trec").read_bytes() == before
