"""The page of results, from the records of the benchmark."""

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.negative_variants import VARIANTS
from tools.results import main, read_results
from tools.results_claims import ASIDE, BEYOND, CLAIMS, Claim, compare
from tools.results_data import best, challengers
from tools.results_page import EXPECTED, outcome

RESULTS = Path(__file__).parents[2] / "results"


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
        "random+in-batch": variant("in-batch", "in_batch", [0.39, 0.39, 0.39]),
        "bm25+in-batch": variant("in-batch", "in_batch", [0.38, 0.38, 0.38]),
        "bm25+random": variant("pairwise", "pairwise", [0.33, 0.33, 0.33]),
        "ance+in-batch": variant("in-batch", "in_batch", [0.41, 0.41, 0.41]),
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


@pytest.mark.parametrize("name", EXPECTED)
@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.title)
def test_every_claim_is_decided_on_every_data_set(name: str, claim: Claim) -> None:
    found = compare(read_results(RESULTS)[name], claim, "test")
    assert found is not None and found.decides


def rows(page: str) -> dict[str, str]:
    """First cell of a table's row -> the row, of the last table that has it."""
    return {row.split("|")[1].strip(): row for row in page.splitlines() if row.startswith("| ")}


def written(values: dict[str, Any], folder: Path) -> str:
    """The page of one data set's record."""
    (folder / "record.json").write_text(json.dumps(values))
    paths = ("--results", str(folder / "results"), "--output", str(folder / "page.md"))
    assert main([*paths, "--add", f"medquad={folder / 'record.json'}"]) == 0
    return (folder / "page.md").read_text()


def with_dev(values: dict[str, Any], **of_kinds: float) -> dict[str, Any]:
    for name, on_dev in of_kinds.items():
        for trained in values["variants"][name]["seeds"].values():
            trained["scores"]["dev"] = {"RR@10": on_dev}
    return values


def test_a_row_has_mean_and_spread_seeds_steps_and_time(page: str) -> None:
    of = rows(page)
    assert of["ance"] == "| ance | pairwise |  | 0.3800 (0.3600-0.4000) | 0.9000 | 3 | 200 | 1.5 |"
    assert of["BM25 retrieval"].startswith("| BM25 retrieval | | | 0.4880 |")


def test_it_says_where_it_was_measured_and_how_to_do_so_again(page: str) -> None:
    assert "- machine: `two cores`" in page and "- commits: `abc`" in page
    assert "python -m benchmarks.negatives --recipe medquad --folder FOLDER --splits test" in page
    assert "(../results/medquad.yaml)" in page


@pytest.mark.parametrize(
    ("holds", "measured", "expected"),
    [(0, 0, ""), (0, 1, ""), (0, 2, ": fails"), (2, 3, ""), (2, 4, ": fails"), (3, 3, ": holds"), (3, 4, ": holds")],
)
def test_a_claim_holds_or_fails_as_soon_as_that_is_certain(holds: int, measured: int, expected: str) -> None:
    assert outcome(holds, measured) == expected


def test_the_claims_come_first_and_a_gap_within_the_spread_of_the_seeds_is_called_one(page: str) -> None:
    overview = page[: page.index("## python-env")]
    of = rows(overview)
    none = "not measured"
    pairwise = f"| {none} | {none} | +5.6 %*, holds | {none} | {none} | 1 of 1 measured |"
    assert of["ANCE against random, BM25 and BM25+random, the paper's loss"].endswith(pairwise)
    in_batch = f"| {none} | {none} | +2.5 %, does not hold | {none} | {none} | 0 of 1 measured |"
    assert of["ANCE+in-batch against in-batch"].endswith(in_batch), (
        "no seed of the one is as bad as a seed of the other"
    )
    assert of["the best step beyond against ANCE+in-batch"].endswith("0 of 0 measured |")


def test_a_claim_names_both_sides(page: str) -> None:
    best = "`ance` against `bm25`, the best of them: +5.6 % (+2.7 to +11.1), a gap within the seeds' spread."
    assert f"- ANCE against random, BM25 and BM25+random, the paper's loss: {best}" in page
    assert "`ance` against `nce`: +2.7 % (-2.7 to +8.1), a gap within the seeds' spread." in page, (
        "NCE has a loss of its own"
    )


def test_a_claim_against_all_others_waits_for_all_of_them(tmp_path: Path) -> None:
    title = "ANCE+in-batch against all others"
    values = record()
    del values["variants"]["bm25+in-batch"]
    assert rows(written(values, tmp_path))[title].count("not measured") == 5


def test_a_claim_is_made_with_the_settings_that_are_best_on_dev(tmp_path: Path) -> None:
    tuned = "ance@training.ance.learning_rate=1e-3"
    values = record()
    values["variants"][tuned] = variant("pairwise", "pairwise", [0.9, 0.9, 0.9])
    page = written(with_dev(values, **{"ance": 0.2, tuned: 0.3, "bm25": 0.2}), tmp_path)
    assert "`ance learning_rate=1e-3` against `bm25`, the best of them: +150.0 % (+143.2 to +157.1)." in page
    tried = page[page.index("### Settings tried") :]
    assert "| ance |  | 0.2000 | 0.2000, 0.2000, 0.2000 |  |" in tried
    assert "| ance | learning_rate=1e-3 | 0.3000 | 0.3000, 0.3000, 0.3000 | yes |" in tried


def test_a_claim_waits_for_the_seeds_of_settings_that_may_be_the_best(tmp_path: Path) -> None:
    tuned = "ance@training.ance.learning_rate=1e-3"
    title = "ANCE against random, BM25 and BM25+random, the paper's loss"
    page = written(with_dev(record(), **{"ance": 0.2, tuned: 0.3}), tmp_path)
    overview = rows(page[: page.index("## python-env")])[title]
    assert "| +5.6 %, settings to be decided on dev |" in overview and overview.endswith("| 0 of 0 measured |")
    assert "more seeds on dev may prefer `ance learning_rate=1e-3`." in page
    page = written(with_dev(record(), **{"ance": 0.3, tuned: 0.2}), tmp_path)
    assert "holds" in rows(page[: page.index("## python-env")])[title]


def test_how_hard_the_negatives_are_is_shown_where_it_was_measured(page: str, tmp_path: Path) -> None:
    assert "How hard" not in page
    nearer = "ance@negatives.candidates=20"
    losses = {"nce": (0.25, 0.1), "ance": (0.5, 0.2), nearer: (0.75, 0.3), "random": (0.0, 0.0)}
    hardness = {kind: {"loss": loss, "above": above} for kind, (loss, above) in losses.items()}
    page = written(record(hardness=hardness), tmp_path)
    assert "| medquad | 16355 | 0.2500 | 0.5000 (x 2.0), 20.0% | 0.7500 (x 3.0), 30.0% |" in page
    table = page[page.index("### How hard the") : page.index("### Settings tried")].strip().splitlines()[4:]
    assert [row.split("|")[1:3] for row in table] == [
        [" ance ", " candidates=20 "],
        [" ance ", "  "],
        [" nce ", "  "],
        [" random ", "  "],
    ]
    assert table[0].endswith("| 0.7500 | 30.0% |")


@pytest.mark.parametrize("more", ["ance.steps=600", "batch_size=64", "negatives_per_query=4"])
def test_what_trains_on_more_is_shown_and_does_not_count(more: str, tmp_path: Path) -> None:
    values, name = record(), f"ance@training.{more}"
    values["variants"][name] = variant("pairwise", "pairwise", [0.9])
    page = written(with_dev(values, **{"ance": 0.2, name: 0.9}), tmp_path)
    assert f"| ance | {more.removeprefix('ance.')} | 0.9000 | 0.9000 |  |" in page
    assert "`ance` against `bm25`, the best of them: +5.6 %" in page


def test_what_ance_adds_to_in_batch_negatives_is_shown_for_equal_settings(tmp_path: Path) -> None:
    values = record()
    cold, nearer = "training.score_scale=40", "negatives.candidates=20"
    dev = {"in-batch": 0.40, "ance+in-batch": 0.42, f"ance+in-batch@{nearer}": 0.38}
    assert "What ANCE adds to in-batch" not in written(with_dev(values, **dict(list(dev.items())[:2])), tmp_path)
    dev |= {
        f"in-batch@{cold}": 0.50,
        f"ance+in-batch@{nearer}@{cold}": 0.51,
        "ance+in-batch@training.batch_size=64": 0.6,
    }
    values["variants"] |= {name: variant("in-batch", "in_batch", [0.4, 0.4]) for name in dev if "@" in name}
    page = written(with_dev(values, **dev), tmp_path)
    shown = page[page.index("### What ANCE adds to in-batch") : page.index("### Settings tried")].splitlines()[4:]
    assert shown[:3] == [
        "|  | 0.4000 | 0.4200 | +5.0 % | 3 |",
        "| candidates=20 | 0.4000 | 0.3800 | -5.0 % | 2 |",
        "| candidates=20 score_scale=40 | 0.5000 | 0.5100 | +2.0 % | 2 |",
    ]
    assert not shown[3], "in-batch was not measured with that batch"


def test_the_step_beyond_is_chosen_on_dev(tmp_path: Path) -> None:
    values = record()
    values["variants"] |= {"margin": variant("beyond", "in_batch", [0.45])}
    values["variants"] |= {"simans": variant("beyond", "in_batch", [0.60])}
    page = written(with_dev(values, margin=0.3, simans=0.2), tmp_path)
    assert "`margin` against `ance+in-batch`: +9.8 %, with 1 of 3 seeds." in page
    verdict = rows(page[: page.index("## python-env")])["the best step beyond against ANCE+in-batch"]
    assert "| +9.8 % with 1 of 3 seeds |" in verdict and verdict.endswith("| 0 of 0 measured |")


def test_the_kinds_that_claims_name_are_the_benchmarks() -> None:
    assert {kind for kind in BEYOND if VARIANTS[kind].group == "beyond"} == {
        kind for kind, one in VARIANTS.items() if one.group == "beyond"
    }
    held = {kind for claim in (*CLAIMS, *ASIDE) for kind in (*claim.ours, *claim.others)}
    assert held == {kind for kind, one in VARIANTS.items() if one.group != "mining"} | {"warmup"}


def test_of_a_kind_that_was_not_tuned_the_first_is_chosen() -> None:
    assert best({"a": {}, "a@x=1": {}}) == "a"
    assert best({"a": {}, "a@x=1": {"42": 0.1}}) == "a@x=1"
    assert best({"a": {"42": 0.2}, "a@x=1": {"42": 0.1}}) == "a"


def test_settings_are_chosen_by_all_seeds_that_were_run() -> None:
    steady, lucky = {"42": 0.2, "43": 0.2}, {"42": 0.3, "43": 0.0}
    values = {"a": lucky, "a@x=1": steady, "a@x=2": {"42": 0.1}}
    assert (best(values), challengers(values)) == ("a@x=1", [])
    values["a@x=2"] = {"42": 0.25}
    assert (best(values), challengers(values)) == ("a@x=1", ["a@x=2"])


def test_both_versions_of_medquad_are_on_the_page_measured_or_not(page: str) -> None:
    sections = [row.removeprefix("## ") for row in page.splitlines() if row.startswith("## ")]
    assert sections == ["The claims, on test", "python-env", "tldr", "medquad", "medquad-concept", "wiki-openqa"]
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
