"""`ance reproduce`: recipes as data, and a tiny one from start to end."""

import json
from pathlib import Path

import pytest
import yaml

from ance.cli.recipes import compare, names, read_recipe
from ance.data.open_source import open_source
from ance.errors import AnceError
from ance.evaluation.measures import MEASURES
from ance.runtime.contracts import RunConfig
from tests.cli.conftest import Ance, Salad
from tests.system.tiny import config


def values(salad: Salad) -> dict[str, object]:
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
            "test": {"bm25": {"RR@10": 0.5}, "ance": {"R@1000": 0.4}},
            "dev": {"bm25+ance": {"R@100": None}},
        },
        "candidates": "bm25",
        "tolerance": 0.01,
        "run": {key: value for key, value in run.items() if key not in ("run", "dataset")},
    }


def write(folder: Path, recipe: dict[str, object]) -> Path:
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
    assert recipe.dataset == "python-env" or recipe.downloads
    assert recipe.spec({"ANCE_DATA": "/data"}).count("$") == 0
    assert {measure for systems in recipe.expected.values() for scores in systems.values() for measure in scores} <= {
        *MEASURES,
        "Coverage@20",
        "Coverage@100",
    }


def test_the_experiments_of_the_paper_and_of_this_project_have_recipes() -> None:
    passages = {f"marco-passage-{kind}" for kind in ("warmup", "bm25", "firstp", "star", "adore")}
    documents = {"marco-document-firstp", "marco-document-maxp"}
    questions = {"openqa-nq", "openqa-trivia", "openqa-multi"}
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
        ("bm25", "RR@10"),
        ("ance", "R@1000"),
        ("bm25+ance", "R@100"),
    ]
    assert [score["reproduced"] for score in record["scores"]] == [True, True, None]
    assert all(score["measured"] >= 0.4 for score in record["scores"])
    assert ended.out.count(" reproduced") == 2 and "no score is known" in ended.out
    recipe.write_text(recipe.read_text().replace("RR@10: 0.5", "RR@10: 1.5"))
    again = ance(*command)  # the run is finished: it is only scored
    assert again.status == 1
    assert "bm25         RR@10           1.5000" in again.out and "not reproduced" in again.out


def test_a_score_may_be_below_its_expectation_by_the_tolerance(salad: Salad, tmp_path: Path) -> None:
    recipe, _ = read_recipe(str(write(tmp_path, values(salad))))
    for below, reproduced in ((0.0, True), (0.009, True), (0.011, False), (-0.2, True)):
        measured = {
            "test": {"bm25": {"RR@10": 0.5 - below}, "ance": {"R@1000": 0.4}},
            "dev": {"bm25+ance": {"R@100": 0.0}},
        }
        assert [score.reproduced for score in compare(recipe, measured)] == [reproduced, True, None]


def test_a_recipe_that_cannot_be_is_refused_before_any_work(ance: Ance, salad: Salad, tmp_path: Path) -> None:
    for change, message in (
        ({"colour": "green"}, "unknown key 'colour'"),
        ({"expected": {"test": {"ance": {"MRR": 0.3}}}}, "'expected.test.ance.MRR"),
        ({"expected": {"eval": {"ance": {"RR@10": 0.3}}}}, "has no split eval"),
        ({"run": {"model": {}}}, "'model.name_or_path' is missing"),
        ({"candidates": "given"}, "bm25+ance re-ranks candidates: set candidates: bm25"),
    ):
        recipe = write(tmp_path, values(salad) | change)
        ended = ance("reproduce", recipe, "--folder", tmp_path / "out")
        assert ended.status == 2 and message in ended.err.splitlines()[-1]
        assert not (tmp_path / "out" / "logs").exists()
    with pytest.raises(AnceError, match=r"no recipe 'nothing'; give a file or one of: marco"):
        read_recipe("nothing")
