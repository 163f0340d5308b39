"""`ance reproduce`: recipes as data, and a tiny one from start to end."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from ance.cli.recipes import compare, names, read_recipe
from ance.data.open_source import open_source
from ance.errors import AnceError
from ance.runtime.contracts import RunConfig
from tests.cli.conftest import Ance, Salad
from tests.system.tiny import config


def values(salad: Salad) -> dict[str, Any]:
    run = config(salad.encoder)
    run["training"] |= {
        "warmup": run["training"]["warmup"] | {"steps": 3},
        "ance": run["training"]["ance"] | {"steps": 3},
    }
    return {
        "title": "a salad",
        "source": "this test",
        "command": "ance reproduce tiny-recipe.yaml",
        "dataset": f"beir:{salad.folder / 'beir'}",
        "expected": {
            "test": {"bm25": {"R@1000": 1.0}, "ance": {"R@1000": 0.4}},
            "dev": {"bm25+ance": {"R@100": None, "RR@100": None}},
        },
        "candidates": "bm25",
        "tolerance": 0.01,
        "run": {key: value for key, value in run.items() if key not in ("run", "dataset")},
    }


def without_warmup(salad: Salad) -> Any:
    """The configuration of the same run, that starts with the second stage."""
    run: Any = values(salad)["run"]
    run["training"]["warmup"]["steps"] = 0
    return run


def write(folder: Path, recipe: dict[str, Any]) -> Path:
    path = folder / "tiny-recipe.yaml"
    path.write_text(yaml.safe_dump(recipe, sort_keys=False))
    return path


@pytest.mark.parametrize("name", names())
def test_every_recipe_is_valid_and_says_what_it_needs(name: str) -> None:
    recipe, text = read_recipe(name)
    run = RunConfig.parse(text, name)
    assert (run.run, run.dataset) == (name, name)
    assert recipe.title and recipe.source
    assert f"ance reproduce {name}" in recipe.command
    if run.model.name_or_path.endswith("/export"):
        before = run.model.name_or_path.removesuffix("/export")
        assert f"ance reproduce {before} && ance export {before} --store file://{before}/store" in recipe.command
        assert f"--to {run.model.name_or_path} && ance reproduce {name}" in recipe.command
    assert recipe.dataset == "python-env" or recipe.downloads
    assert recipe.spec({"ANCE_DATA": "/data"}).count("$") == 0


def test_a_start_that_another_recipe_makes_is_asked_for_with_its_commands(
    ance: Ance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    error = ance("reproduce", "marco-passage-firstp").error
    assert (
        "no folder marco-passage-warmup/export here; run, in this folder: export ANCE_DEVICE=cuda && ance reproduce "
        "marco-passage-warmup && " in error
    )
    assert not list(tmp_path.iterdir()), "nothing is prepared before"


def test_the_experiments_of_the_paper_and_of_this_project_have_recipes() -> None:
    negatives = ("bm25", "random", "nce", "bm25-random", "bm25-then-random", "bm25-then-nce", "bm25-then-bm25-random")
    passages = {f"marco-passage-{kind}" for kind in ("warmup", "firstp", "star", "adore", "released", *negatives)}
    documents = {"marco-document-firstp", "marco-document-maxp", "marco-document-released"}
    questions = {"openqa-nq", "openqa-trivia", "openqa-multi", "openqa-released"}
    own = {"python-env", "python-env-distilled", "tldr", "medquad", "medquad-concept", "wiki-openqa"}
    assert set(names()) == passages | documents | questions | own


@pytest.mark.parametrize("name", [name for name in names() if name.startswith("marco")])
def test_the_parts_of_ir_datasets_that_a_recipe_names_exist(name: str) -> None:
    recipe, _ = read_recipe(name)
    assert set(open_source(recipe.spec()).splits()) >= {"train", *recipe.expected}


def test_a_data_set_may_be_in_a_folder_that_a_variable_names() -> None:
    recipe, _ = read_recipe("tldr")
    assert recipe.spec({"ANCE_DATA": "/data"}) == "beir:/data/tldr"
    with pytest.raises(AnceError, match=r"beir:\$ANCE_DATA/tldr: set the variable ANCE_DATA; nothing; the BEIR folder"):
        recipe.spec({})


def test_without_a_name_the_recipes_are_listed(ance: Ance) -> None:
    lines = ance("reproduce").out.splitlines()
    assert [line.split()[0] for line in lines] == names()
    assert "ANCE FirstP on MS MARCO passages; downloads: ir_datasets fetches msmarco-passage" in next(
        line for line in lines if line.startswith("marco-passage-firstp")
    )


@pytest.mark.timeout(180)
def test_a_recipe_is_run_and_its_scores_held_against_what_is_expected(ance: Ance, salad: Salad, tmp_path: Path) -> None:
    recipe = write(tmp_path, values(salad))
    command = ("reproduce", recipe, "--folder", tmp_path / "out")
    ended = ance(*command)
    assert ended.status == 0, ended.err
    record = json.loads((tmp_path / "out" / "scores.json").read_text())
    assert [(score["system"], score["measure"]) for score in record["scores"]] == [
        ("bm25", "R@1000"),
        ("ance", "R@1000"),
        ("bm25+ance", "R@100"),
        ("bm25+ance", "RR@100"),
    ]
    # All 240 passages are ranked, and all are found.
    assert [score["measured"] for score in record["scores"][:2]] == [1.0, 1.0]
    assert [score["verdict"] for score in record["scores"]] == ["reproduced", "above", None, None]
    assert ended.out.count(" reproduced") == 1 and "no score is known" in ended.out
    recipe.write_text(recipe.read_text().replace("R@1000: 1.0", "R@1000: 0.9"))
    again = ance(*command)  # the run is finished: it is only scored
    assert again.status == 1
    assert "bm25         R@1000          0.9000    1.0000  not reproduced" in again.out


@pytest.mark.parametrize(
    ("difference", "learnt", "given"),
    [
        (0.0, "reproduced", "reproduced"),
        (0.009, "reproduced", "reproduced"),
        (-0.009, "reproduced", "reproduced"),
        (0.011, "above", "not reproduced"),
        (-0.011, "not reproduced", "not reproduced"),
    ],
)
def test_the_tolerance_holds_both_ways_and_only_what_has_learnt_may_be_above(
    salad: Salad, tmp_path: Path, difference: float, learnt: str, given: str
) -> None:
    expected = {"test": {"bm25": {"RR@10": 0.5}, "start": {"RR@10": 0.5}, "ance": {"RR@10": 0.5}}}
    recipe, _ = read_recipe(str(write(tmp_path, values(salad) | {"expected": expected})))
    measured = {"test": {system: {"RR@10": 0.5 + difference} for system in expected["test"]}}
    # The start may have been trained by another recipe.
    assert [score.verdict for score in compare(recipe, measured)] == [given, learnt, learnt]
    untrained = values(salad) | {"expected": {"test": {"bm25": {"RR@10": 0.5}, "start": {"RR@10": 0.5}}}}
    for stage in ("warmup", "ance"):
        untrained["run"]["training"][stage]["steps"] = 0
    recipe, _ = read_recipe(str(write(tmp_path, untrained)))
    assert [score.verdict for score in compare(recipe, measured)] == [given, given]


def test_a_recipe_that_cannot_be_is_refused_before_any_work(ance: Ance, salad: Salad, tmp_path: Path) -> None:
    for change, message in (
        ({"colour": "green"}, "unknown key 'colour'"),
        ({"expected": {"test": {"ance": {"MRR": 0.3}}}}, "measure 'MRR' does not fit, use one of RR, nDCG, R, P"),
        ({"expected": {"eval": {"ance": {"RR@10": 0.3}}}}, "has no split eval"),
        ({"run": {"model": {}}}, "'model.name_or_path' is missing"),
        ({"candidates": "given"}, "bm25+ance re-ranks candidates: set candidates: bm25"),
        (
            {"candidates": "given", "expected": {"test": {"given+ance": {"RR@10": 0.3}}}},
            "split test: its source gave no candidates",
        ),
        (
            {"expected": {"dev": {"ance": {"RR@10": 0.3, "Coverage@20": None}}}},
            "split dev: Coverage@20 cannot be measured, only: RR@10, AP@10, nDCG@10, R@100, R@1000; correct",
        ),
        ({"run": without_warmup(salad), "expected": {"dev": {"warmup": {"RR@10": 0.3}}}}, "training.warmup.steps is 0"),
    ):
        recipe = write(tmp_path, values(salad) | change)
        ended = ance("reproduce", recipe, "--folder", tmp_path / "out")
        assert ended.status == 2 and message in ended.err.splitlines()[-1]
        assert not (tmp_path / "out" / "logs").exists()
    with pytest.raises(AnceError, match=r"no recipe 'nothing'; give a file or one of: marco"):
        read_recipe("nothing")


def test_a_recipe_may_change_some_settings_of_another(salad: Salad, tmp_path: Path) -> None:
    base, text = read_recipe(str(write(tmp_path, values(salad))))
    own = {
        "base": str(tmp_path / "tiny-recipe.yaml"),
        "title": "another salad",
        "expected": {"test": {"ance": {"RR@10": 0.1}}},
        "run": {"training": {"ance": {"negatives": "random"}}, "index": {"factory": "Flat"}},
    }
    (tmp_path / "other.yaml").write_text(yaml.safe_dump(own))
    recipe, changed = read_recipe(str(tmp_path / "other.yaml"))
    assert (recipe.title, recipe.source, recipe.dataset) == ("another salad", base.source, base.dataset)
    assert set(recipe.expected) == {"test"} and set(recipe.expected["test"]) == {"ance"}
    expected = yaml.safe_load(text) | {"run": "other", "dataset": "other", "index": {"factory": "Flat"}}
    expected["training"]["ance"]["negatives"] = "random"
    assert yaml.safe_load(changed) == expected
    (tmp_path / "third.yaml").write_text(yaml.safe_dump({"base": str(tmp_path / "other.yaml")}))
    with pytest.raises(AnceError, match=r"third.yaml: base: recipe .*other.yaml' has a base itself; name that one, "):
        read_recipe(str(tmp_path / "third.yaml"))
    (tmp_path / "list.yaml").write_text("- one")
    with pytest.raises(AnceError, match="expected a mapping of keys, found list"):
        read_recipe(str(tmp_path / "list.yaml"))


@pytest.mark.timeout(120)
def test_a_released_model_is_published_and_scored_without_training(ance: Ance, salad: Salad, tmp_path: Path) -> None:
    released = values(salad) | {"expected": {"test": {"start": {"R@1000": 1.0}}}}
    for stage in ("warmup", "ance"):
        released["run"]["training"][stage] = {"steps": 0, "learning_rate": 1e-6, "negatives": "random"}
    ended = ance("reproduce", write(tmp_path, released), "--folder", tmp_path / "out")
    assert ended.status == 0, ended.err
    assert "start        R@1000          1.0000    1.0000  reproduced" in ended.out
    store = tmp_path / "out" / "store" / "runs" / "tiny-recipe"
    assert [path.name for path in (store / "indexes").iterdir()] == ["0"]
