from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.harness import Result
from tools.benchmarks_page import main


@pytest.fixture
def measured(tmp_path: Path) -> Path:
    result = Result("x", "a plain loop", 2.0, 3.0, 1.5, 1.2, True, 5, (1.4, 1.6), "a machine", {"unit": "s"})
    path = tmp_path / "x.json"
    path.write_text(result.to_json())
    return path


def run(folder: Path, *options: str) -> int:
    return main(["--results", str(folder / "results"), "--output", str(folder / "page.md"), *options])


def test_a_result_of_a_benchmark_is_a_line_of_the_page(measured: Path, tmp_path: Path) -> None:
    assert run(tmp_path, "--add", f"loop={measured}") == 0
    text = (tmp_path / "page.md").read_text()
    assert "| loop | 2 s | a plain loop: 3 s | × 1.50 (1.40–1.60) | 5 | 1.2 |  |" in text
    assert "- loop: a machine; commit " in text
    assert run(tmp_path, "--check") == 0


def test_each_precision_is_a_line_and_is_held_to_the_goal(measured: Path, tmp_path: Path) -> None:
    figures = {"ours": 2.0, "theirs": 3.0, "ratio": 1.5, "spread": [1.4, 1.6]}
    missed = {"ours": 2.5, "theirs": 2.5, "ratio": 1.0, "spread": [0.9, 1.1]}
    details = {"unit": "s", "precisions": {"float32": figures, "bfloat16": missed}}
    measured.write_text(json.dumps(json.loads(measured.read_text()) | {"holds": False, "details": details}))
    run(tmp_path, "--add", f"loop={measured}")
    text = (tmp_path / "page.md").read_text()
    assert "| loop, float32 | 2 s | a plain loop: 3 s | × 1.50 (1.40–1.60) | 5 | 1.2 |  |" in text
    assert "| loop, bfloat16 | 2.5 s | a plain loop: 2.5 s | × 1.00 (0.90–1.10) | 5 | 1.2 | missed |" in text


def test_a_missed_goal_is_shown_and_drift_is_found(
    measured: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(tmp_path, "--add", f"loop={measured}")
    kept = tmp_path / "results" / "loop.json"
    kept.write_text(json.dumps(json.loads(kept.read_text()) | {"holds": False}))
    assert run(tmp_path, "--check") == 1
    assert "differs from" in capsys.readouterr().err
    run(tmp_path)
    assert "| 1.2 | missed |" in (tmp_path / "page.md").read_text()


@pytest.mark.parametrize(
    ("content", "message"), [("{", "not a result"), ('{"name": 1}', "lacks peer, ours"), ("[]", "lacks")]
)
def test_what_is_no_result_is_named(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "bad.json").write_text(content)
    with pytest.raises(SystemExit, match=rf"bad\.json: .*{message}"):
        run(tmp_path, "--add", f"bad={tmp_path / 'bad.json'}")
