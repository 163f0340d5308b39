"""The page of results, from the records of the benchmark."""

import json
from pathlib import Path
from typing import Any

import pytest

from tools.results import main
from tools.results_data import chosen


def variant(group: str, loss: str, values: list[float]) -> dict[str, Any]:
    trained = {"steps": 200, "seconds": 90.0, "machine": "two cores", "commit": "abc", "command": "python -m x"}
    seeds = {
        str(42 + place): {**trained, "scores": {"test": {"RR@10": value, "R@100": 0.9}}}
        for place, value in enumerate(values)
    }
    return {"group": group, "settings": {"training.ance.loss": loss}, "seeds": seeds}


def record(**changes: Any) -> dict[str, Any]:
    about = {
        "recipe": "medquad",
        "dataset": "beir:$ANCE_DATA/medquad",
        "counts": {"passages": 16355, "test_queries": 1487},
        "warmup_steps": 100,
        "steps": 200,
        "refresh": 40,
        "lag": 40,
        "settings_sha256": "0",
    }
    variants = {
        "random": variant("pairwise", "pairwise", [0.30, 0.32, 0.31]),
        "bm25": variant("pairwise", "pairwise", [0.35, 0.37, 0.36]),
        "ance": variant("pairwise", "pairwise", [0.36, 0.38, 0.40]),
        "nce": variant("pairwise", "hardest_in_batch", [0.37, 0.37, 0.37]),
        "in-batch": variant("in-batch", "in_batch", [0.40, 0.40, 0.40]),
        "ance+in-batch": variant("in-batch", "in_batch", [0.44, 0.44, 0.44]),
        "ance@training.ance.learning_rate=1e-3": variant("pairwise", "pairwise", [0.9]),
    }
    return {"about": about, "bm25": {"test": {"RR@10": 0.488}}, "variants": variants, **changes}


@pytest.fixture
def page(tmp_path: Path) -> str:
    (tmp_path / "record.json").write_text(json.dumps(record()))
    paths = ("--results", str(tmp_path / "results"), "--output", str(tmp_path / "page.md"))
    assert main([*paths, "--add", f"medquad={tmp_path / 'record.json'}"]) == 0
    assert main([*paths, "--check"]) == 0
    return (tmp_path / "page.md").read_text()


def test_the_committed_page_is_what_the_results_say() -> None:
    assert main(["--check"]) == 0


def test_a_row_has_mean_and_spread_seeds_steps_and_time(page: str) -> None:
    rows = {row.split("|")[1].strip(): row for row in page.splitlines() if row.startswith("| ")}
    assert rows["ance"] == "| ance | pairwise | 0.3800 (0.3600-0.4000) | 0.9000 (0.9000-0.9000) | 3 | 200 | 1.5 |"
    assert rows["BM25 retrieval"].startswith("| BM25 retrieval | | 0.4880 |")
    assert "- hardware: `two cores`" in page and "- commit: `abc`" in page and "- command: `python -m x`" in page


def test_a_gap_within_the_spread_of_the_seeds_is_called_one(page: str) -> None:
    assert "- `ance` against `bm25`, the best of random, bm25: +5.6 % RR@10; a gap within the seeds' spread." in page
    assert "- `ance` against `nce`: +2.7 % RR@10; a gap within the seeds' spread." in page, "it has a loss of its own"
    assert "- `ance+in-batch` against `in-batch`, the best of random, bm25, ance, nce, in-batch: +10.0 % RR@10." in page
    assert "+10.0 % RR@10." in page, "no seed of the one is as bad as a seed of the other"


def test_a_claim_is_made_with_the_settings_that_are_best_on_dev(tmp_path: Path) -> None:
    values = record()
    tuned = "ance@training.ance.learning_rate=1e-3"
    for name, on_dev in (("ance", 0.2), (tuned, 0.3), ("bm25", 0.2)):
        for trained in values["variants"][name]["seeds"].values():
            trained["scores"]["dev"] = {"RR@10": on_dev}
    (tmp_path / "record.json").write_text(json.dumps(values))
    options = ["--results", str(tmp_path / "results"), "--output", str(tmp_path / "page.md")]
    main([*options, "--add", f"medquad={tmp_path / 'record.json'}"])
    said = "- `ance@learning_rate=1e-3` against `bm25`, the best of random, bm25: +150.0 % RR@10."
    assert said in (tmp_path / "page.md").read_text()


def test_the_step_beyond_is_chosen_on_dev(tmp_path: Path) -> None:
    values = record()
    for name, on_dev, on_test in (("margin", 0.3, 0.45), ("simans", 0.2, 0.60)):
        values["variants"][name] = variant("beyond", "in_batch", [on_test])
        values["variants"][name]["seeds"]["42"]["scores"]["dev"] = {"RR@10": on_dev}
    (tmp_path / "record.json").write_text(json.dumps(values))
    options = ["--results", str(tmp_path / "results"), "--output", str(tmp_path / "page.md")]
    main([*options, "--add", f"medquad={tmp_path / 'record.json'}"])
    assert "- `margin` against `ance+in-batch`: +2.3 % RR@10." in (tmp_path / "page.md").read_text()


def test_of_a_kind_that_was_not_tuned_the_first_is_chosen() -> None:
    assert chosen({"a": {}, "a@x=1": {}, "b": {"42": 0.2}, "b@x=1": {"42": 0.1}}) == {"a": "a", "b": "b"}
    assert chosen({"a": {}, "a@x=1": {"42": 0.1}}) == {"a": "a@x=1"}


def test_settings_are_compared_on_the_seeds_that_all_have() -> None:
    more = {"42": 0.3, "43": 0.1, "44": 0.1}
    assert chosen({"a@x=1": more, "a@x=2": {"42": 0.2}}) == {"a": "a@x=1"}


def test_both_versions_of_medquad_are_on_the_page_measured_or_not(page: str) -> None:
    sections = [row.removeprefix("## ") for row in page.splitlines() if row.startswith("## ")]
    assert sections == ["python-env", "tldr", "medquad", "medquad-concept", "wiki-openqa"]
    assert page.count("Not measured yet") == 4


def test_a_changed_page_is_drift_that_names_the_remedy(
    page: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "page.md").write_text(page.replace("0.3800", "0.4800"))
    assert main(["--results", str(tmp_path / "results"), "--output", str(tmp_path / "page.md"), "--check"]) == 1
    assert "python -m tools.results" in capsys.readouterr().err


def test_results_that_are_none_are_named(tmp_path: Path) -> None:
    (tmp_path / "record.json").write_text(json.dumps(record(variants={"ance": {"group": 7}})))
    with pytest.raises(SystemExit, match=r"record.json: variants.ance.group: Input should be a valid string"):
        main(["--results", str(tmp_path), "--add", f"tldr={tmp_path / 'record.json'}"])
