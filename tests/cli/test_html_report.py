"""`ance report` before there is much to report, and what it refuses."""

import json
from pathlib import Path

import pytest

from ance.cli.create_run import create_run
from ance.cli.html_report import read_scores
from ance.errors import AnceError
from ance.runtime.layout import RunLayout
from ance.runtime.run_history import refresh_records, step_records
from ance.runtime.store import Store
from tests.cli.conftest import Ance, Salad
from tests.evaluation.report.records import refresh_record, scores, step_record


@pytest.fixture(scope="module")
def young(salad: Salad, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A run that was created and has done nothing yet."""
    path = salad.config(tmp_path_factory.mktemp("young") / "run.yaml", run="young")
    create_run(Store.open(salad.store), path.read_text(), str(path))
    return "young"


def test_a_run_that_has_done_nothing_gets_a_report_of_what_to_run(
    ance: Ance, salad: Salad, young: str, tmp_path: Path
) -> None:
    out = tmp_path / "report.html"
    ended = ance("report", "--store", salad.store, "--run", young, "--out", out)
    assert ended.status == 0, ended.err
    assert str(out) in ended.out
    text = out.read_text("utf-8")
    assert text.count('<p class="missing">') == 9
    assert f"<code>ance eval --store {salad.store} --run young</code>" in text
    assert "data-figure=" not in text
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_scores_that_were_measured_before_are_taken_as_they_are(
    ance: Ance, salad: Salad, young: str, tmp_path: Path
) -> None:
    (tmp_path / "report.json").write_text(json.dumps({**scores(), "refreshes": []}))
    out = tmp_path / "report.html"
    ended = ance("report", "--store", salad.store, "--run", young, "--scores", tmp_path / "report.json", "--out", out)
    assert ended.status == 0, ended.err
    assert "RR@10 0.440, +10.0% against the warm-up model, on 24 test queries of salad." in out.read_text("utf-8")


def test_a_run_that_does_not_exist_is_an_error_and_no_file_is_left(ance: Ance, salad: Salad, tmp_path: Path) -> None:
    ended = ance("report", "--store", salad.store, "--run", "nobody", "--out", tmp_path / "report.html")
    assert "runs/nobody/run.yaml: no such run" in ended.error
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there_is_an_error(ance: Ance, salad: Salad, young: str, tmp_path: Path) -> None:
    ended = ance("report", "--store", salad.store, "--run", young, "--out", tmp_path / "no" / "report.html")
    assert "No such file or directory" in ended.error


@pytest.mark.parametrize(
    "text",
    ["not json", "[]", "{}", '{"systems": {"ance": {"RR@10": "high"}}, "queries": 1, "dataset": "a", "split": "b"}'],
)
def test_scores_that_are_something_else_are_refused_by_name(text: str, tmp_path: Path) -> None:
    path = tmp_path / "scores.json"
    path.write_text(text)
    with pytest.raises(AnceError, match=r"scores\.json: not the output of `ance eval --json`"):
        read_scores(path)


def test_the_records_of_a_run_come_in_the_order_of_their_steps(tmp_path: Path) -> None:
    store, layout = Store.open(f"file://{tmp_path}"), RunLayout("demo")
    for first, last in ((1, 9), (10, 100)):
        lines = "".join(json.dumps(step_record(step)) + "\n" for step in range(first, last + 1))
        store.write(layout.series(last), lines.encode())
    for step in (100, 20, 5):
        store.write(layout.refresh_record(step), json.dumps(refresh_record(step)).encode())
    assert [record["step"] for record in step_records(store, layout)] == list(range(1, 101))
    assert [record["step"] for record in refresh_records(store, layout)] == [5, 20, 100]
