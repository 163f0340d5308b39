from pathlib import Path

import numpy as np
import pytest

from ance.errors import AnceError
from ance.evaluation.trec import write_run

IDS = np.array([[1, 0], [2, -1]])
SCORES = np.array([[2.5, 1 / 3], [-0.5, -np.inf]], np.float32)


def write(path: Path, passages: tuple[str, ...] = ("a", "b", "c"), tag: str = "ance") -> None:
    write_run(path, ["q1", "q2"], passages, IDS, SCORES, tag)


def test_a_run_has_six_columns_and_ranks_from_1(tmp_path: Path) -> None:
    write(tmp_path / "run.trec")

    assert (tmp_path / "run.trec").read_text() == (
        "q1 Q0 b 1 2.5 ance\nq1 Q0 a 2 0.333333343 ance\nq2 Q0 c 1 -0.5 ance\n"
    )


def test_scores_read_back_as_the_same_float32(tmp_path: Path) -> None:
    write(tmp_path / "run.trec")

    fields = [line.split() for line in (tmp_path / "run.trec").read_text().splitlines()]
    assert [np.float32(score) for *_, score, _ in fields] == [SCORES[0, 0], SCORES[0, 1], SCORES[1, 0]]


@pytest.mark.parametrize(
    ("passages", "tag", "culprit"),
    [
        (("a", "b b", "c"), "ance", "passage id 'b b'"),
        (("", "b", "c"), "ance", "passage id ''"),
        (("a", "b", "c"), "my run", "tag"),
    ],
)
def test_what_the_format_cannot_hold_is_refused(
    tmp_path: Path, passages: tuple[str, ...], tag: str, culprit: str
) -> None:
    with pytest.raises(AnceError, match=culprit):
        write(tmp_path / "run.trec", passages, tag)


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    write(tmp_path / "run.trec")
    before = (tmp_path / "run.trec").read_bytes()

    with pytest.raises(AnceError, match="query id 'q 2'"):
        write_run(tmp_path / "run.trec", ["q1", "q 2"], ["a", "b", "c"], IDS, SCORES, "ance")

    assert [file.name for file in tmp_path.iterdir()] == ["run.trec"]
    assert (tmp_path / "run.trec").read_bytes() == before
