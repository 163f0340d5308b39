"""The benchmark of negatives on the tiny world: it measures once, and goes on where it stopped."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file

from ance.cli.recipes import read_recipe
from ance.data.dataset import Dataset
from ance.errors import AnceError
from ance.negatives.config import NegativesConfig
from ance.negatives.mined import MinedNegatives
from ance.retrieval.bm25 import BM25
from ance.runtime.contracts import RunConfig
from benchmarks import negative_training
from benchmarks.negative_summary import summarise
from benchmarks.negative_variants import OF_A_RUN, VARIANTS
from benchmarks.negatives import configured, main, of_variant
from tests.system.tiny import TRAIN, config, write_beir, write_encoder
from tools.results_data import Results


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two steps of warm-up and four after it; training queries have an answer, which is their first word."""
    folder = tmp_path_factory.mktemp("tiny")
    run = config(write_encoder(folder / "encoder"))
    run["training"] |= {
        "warmup": run["training"]["warmup"] | {"steps": 2},
        "ance": run["training"]["ance"] | {"steps": 4},
    }
    del run["training"]["max_async_gap"]  # goes neither with static negatives nor with ADORE
    beir = write_beir(folder / "beir")
    queries = [json.loads(line) for line in (beir / "queries.jsonl").read_text().splitlines()[:TRAIN]]
    answers = ({"_id": query["_id"], "answers": query["text"].split()[:1]} for query in queries)
    (beir / "answers.jsonl").write_text("".join(json.dumps(line) + "\n" for line in answers))
    values = {
        "title": "tiny",
        "source": "this test",
        "command": "python -m benchmarks.negatives",
        "dataset": f"beir:{beir}",
        "expected": {"test": {"bm25": {"RR@10": None}}},
        "tolerance": 0.1,
        "run": {key: value for key, value in run.items() if key not in ("run", "dataset")},
    }
    path = folder / "tiny.yaml"
    path.write_text(yaml.safe_dump(values))
    return path


def measure(recipe: Path, folder: Path, *options: str) -> dict[str, Any]:
    fixed = ("--folder", str(folder), "--refresh", "2", "--lag", "1", "--threads", "1")
    main(["--recipe", str(recipe), *fixed, *options])
    record: dict[str, Any] = json.loads((folder / "record.json").read_text())
    return record


def test_every_variant_is_a_valid_run_that_leaves_the_warm_up_as_it_is(recipe: Path) -> None:
    values = yaml.safe_load(read_recipe(str(recipe))[1])
    base = configured(values, {})
    for name, variant in VARIANTS.items():
        changed = configured(values, variant.settings)
        assert isinstance(changed, RunConfig), name
        assert changed.training.warmup == base.training.warmup and changed.model == base.model
        assert all(key.startswith(OF_A_RUN) for key in variant.settings)
    assert len({json.dumps(dict(variant.settings)) for variant in VARIANTS.values()}) == len(VARIANTS)


@pytest.mark.parametrize("name", ["random", "nce", "bm25+random", "ance", "adore"])
def test_what_a_recipe_says_of_an_index_is_left_out_where_a_variant_asks_none(recipe: Path, name: str) -> None:
    values = yaml.safe_load(read_recipe(str(recipe))[1])
    mining = {"relative_margin": 0.05, "sampling": "simans"}
    values["negatives"] |= mining
    values["training"]["synchronous"] = name != "adore"
    config = of_variant(values, name, {"refresh": "1"})
    asked = name in ("ance", "adore")
    assert config.negatives.relative_margin == (0.05 if asked else None)
    assert config.negatives.sampling == {"ance": "simans", "adore": "top"}.get(name, "uniform")
    assert config.training.synchronous == (name == "ance")
    assert config.negatives.candidates == (200 if name == "adore" else 20), "what others have, too, stays"


def test_a_change_that_does_nothing_for_one_of_the_variants_is_refused_before_any_training(
    recipe: Path, tmp_path: Path
) -> None:
    options = ("--variants", "ance", "bm25", "--set", "negatives.relative_margin=0.05")
    with pytest.raises(AnceError, match=r"negatives\.relative_margin would change nothing: .*ance\.negatives: bm25"):
        measure(recipe, tmp_path, "--seeds", "1", *options)
    assert not list(tmp_path.glob("*.safetensors"))


@pytest.mark.timeout(120)
def test_all_variants_train_from_one_warm_up_and_nothing_is_measured_twice(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stages: list[int] = []
    train = negative_training.Branches._train

    def counted(self: Any, *arguments: Any) -> None:
        stages.append(arguments[3])
        train(self, *arguments)

    scored: list[Any] = []
    score = negative_training.Branches.score
    monkeypatch.setattr(negative_training.Branches, "_train", counted)
    monkeypatch.setattr(negative_training.Branches, "score", lambda *of: scored.append(of) or score(*of))
    first = measure(recipe, tmp_path, "--seeds", "1", "--variants", *reversed(VARIANTS))
    assert stages == [0] + [2] * len(VARIANTS), "one warm-up of two steps, and each variant after it"
    scores = {name: one["seeds"]["42"]["scores"]["dev"]["RR@10"] for name, one in first["variants"].items()}
    assert list(scores) == ["start", "warmup", *VARIANTS], "in this order, whatever was measured first"
    assert len(set(scores.values())) > len(VARIANTS) / 2, "they learn something else each"
    assert set(first["bm25"]["dev"]) == {"RR@10", "nDCG@10", "R@100"}
    hard = {kind: values["loss"] for kind, values in first["hardness"].items()}
    assert hard["random"] < hard["ance"] < hard["ance@negatives.candidates=5"], "the nearer, the harder"
    assert all(0 <= values["above"] <= 1 for values in first["hardness"].values())

    stages.clear(), scored.clear()
    again = measure(recipe, tmp_path, "--seeds", "1", "--variants", *VARIANTS)
    assert (again, stages, scored) == (first, [], [])

    other_split = measure(recipe, tmp_path, "--seeds", "1", "--variants", "ance", "--splits", "dev", "test")
    assert stages == [], "another split is scored with the weights that are there"
    assert set(other_split["variants"]["ance"]["seeds"]["42"]["scores"]) == {"dev", "test"}

    swept = measure(recipe, tmp_path, "--seeds", "1", "--variants", "ance", "--set", "training.ance.learning_rate=1e-5")
    assert stages == [2], "another learning rate is another measurement, from the same warm-up"
    name = "ance@training.ance.learning_rate=1e-5"
    assert swept["variants"][name]["settings"]["training.ance.learning_rate"] == "1e-5"
    assert swept["variants"][name]["seeds"]["42"]["scores"] != swept["variants"]["ance"]["seeds"]["42"]["scores"]


def test_static_negatives_are_mined_once(recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mined: list[int] = []
    mine = negative_training.Branches.mine

    def counted(self: Any, *arguments: Any) -> Any:
        mined.append(arguments[2])
        return mine(self, *arguments)

    monkeypatch.setattr(negative_training.Branches, "mine", counted)
    measure(recipe, tmp_path, "--seeds", "1", "--variants", "ance")
    assert mined == [2, 4]
    mined.clear()
    measure(recipe, tmp_path, "--seeds", "1", "--variants", "static")
    assert mined == [2]


def test_a_variant_can_be_refreshed_at_other_steps(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mined: list[int] = []
    mine = negative_training.Branches.mine
    monkeypatch.setattr(negative_training.Branches, "mine", lambda *of: mined.append(of[3]) or mine(*of))
    options = ("--seeds", "1", "--variants", "ance", "--set", "refresh=1", "lag=0")
    measured = measure(recipe, tmp_path, *options)
    assert mined == [2, 3, 4, 5], "at every step, where the others are at every second"
    assert measured["variants"]["ance@lag=0@refresh=1"]["settings"]["refresh"] == "1"
    assert measured["about"]["refresh"] == 2


def test_negatives_that_would_come_after_the_last_step_are_not_mined(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mined: list[int] = []
    mine = negative_training.Branches.mine
    monkeypatch.setattr(negative_training.Branches, "mine", lambda *of: mined.append(of[3]) or mine(*of))
    measure(recipe, tmp_path, "--seeds", "1", "--variants", "ance", "--set", "lag=2")
    assert mined == [2], "those of step 4 would be there at step 6, when training has ended"


def test_a_schedule_counts_when_negatives_come_into_use() -> None:
    schedule = negative_training.Schedule(refresh=3, lag=2)
    assert [schedule.due(step, 10) for step in range(10, 17)] == [10, None, None, 15, None, None, 18]


@pytest.mark.parametrize("change", ["refresh=0", "refresh=often", "lag=-1"])
def test_a_schedule_that_cannot_be_is_refused(change: str, recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--recipe", str(recipe), "--set", change])
    key = change.partition("=")[0]
    assert f"--set {change}: expected {key}=STEPS, a whole number" in capsys.readouterr().err


def test_settings_of_mining_hold_for_bm25s_negatives(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples: list[int] = []
    mine = negative_training.mine_bm25

    def observed(dataset: Dataset, bm25: BM25, mining: NegativesConfig) -> MinedNegatives:
        samples.append(mining.sample)
        return mine(dataset, bm25, mining)

    monkeypatch.setattr(negative_training, "mine_bm25", observed)
    measure(recipe, tmp_path, "--seeds", "1", "--variants", "bm25", "bm25+random", "--set", "negatives.sample=2")
    assert len(samples) == 2 and samples[0] > samples[1] == 2, "the warm-up's, and once for both kinds"


def test_anns_negatives_can_be_mixed_with_others(recipe: Path, tmp_path: Path) -> None:
    options = ("--seeds", "1", "--variants", "ance", "--set", "training.ance.negatives=ance+random")
    (name,) = measure(recipe, tmp_path, *options)["variants"].keys() - {"start", "warmup"}
    mixture, warmup = (load_file(tmp_path / f"{of}-42.safetensors") for of in (name, "warmup"))
    assert any(not torch.equal(weights, warmup[key]) for key, weights in mixture.items())


def test_adore_trains_the_queries_alone(recipe: Path, tmp_path: Path) -> None:
    measured = measure(recipe, tmp_path, "--seeds", "1", "--variants", "adore")
    warmup, adore = (load_file(tmp_path / f"{name}-42.safetensors") for name in ("warmup", "adore"))
    assert all(torch.equal(weights, adore[name]) for name, weights in warmup.items())
    towers = [name for name in adore if name.startswith("query_tower.")]
    assert len(adore) == len(warmup) + len(towers)
    assert any(not torch.equal(adore[name], warmup[name.removeprefix("query_tower.")]) for name in towers)
    again = measure(recipe, tmp_path, "--seeds", "1", "--variants", "adore", "--splits", "test")
    assert again["variants"]["adore"]["seeds"]["42"]["scores"].keys() == {"dev", "test"}, (
        "from the weights in the folder"
    )
    assert measured["variants"]["adore"]["settings"]["training.negatives_per_query"] == 200


def test_answers_that_a_variant_needs_are_asked_for_before_any_training(recipe: Path, tmp_path: Path) -> None:
    options = ("--dataset", f"beir:{write_beir(tmp_path / 'unanswered')}", "--seeds", "1", "--variants")
    with pytest.raises(AnceError, match="split 'train': its queries have no answers"):
        measure(recipe, tmp_path / "kept", *options, "random", "no-answers")
    assert not list((tmp_path / "kept").glob("*.safetensors"))


def test_a_device_that_is_not_there_is_refused(recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--recipe", str(recipe), "--device", "gpu"])
    assert "there is no device gpu that torch can use" in capsys.readouterr().err


def test_a_folder_of_other_measurements_is_refused(recipe: Path, tmp_path: Path) -> None:
    measure(recipe, tmp_path, "--seeds", "0")
    with pytest.raises(AnceError, match=r"record.json: was measured with lag 1, not 3; choose another --folder"):
        main(["--recipe", str(recipe), "--folder", str(tmp_path), "--refresh", "2", "--lag", "3", "--seeds", "0"])


def test_as_json_it_prints_the_result_and_nothing_else(
    recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    measure(recipe, tmp_path, "--seeds", "1", "--variants", "random", "--json")
    assert json.loads(capsys.readouterr().out)["name"] == "negatives"


def test_a_setting_that_would_change_the_warm_up_is_refused(recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--recipe", str(recipe), "--set", "training.warmup.steps=9"])
    assert "expected KEY=VALUE, the key in training.ance. or negatives." in capsys.readouterr().err


def values(**means: float) -> Results:
    trained = {"steps": 200, "seconds": 1.0, "machine": "two cores", "commit": "abc", "command": "python -m x"}
    variants = {
        name: {
            "group": "pairwise",
            "settings": {},
            "seeds": {str(seed): {**trained, "scores": {"dev": {"RR@10": value + seed / 100}}} for seed in range(2)},
        }
        for name, value in means.items()
    }
    about = {"recipe": "salad", "dataset": "salad", "counts": {}, "settings_sha256": "0"}
    about |= {"warmup_steps": 100, "steps": 200, "refresh": 40, "lag": 40}
    return Results.model_validate({"about": about, "bm25": {"dev": {"RR@10": 0.5}}, "variants": variants})


def test_the_claim_is_3_percent_above_the_best_other_negatives() -> None:
    better = {"random": 0.2, "bm25": 0.3, "bm25+random": 0.25, "ance": 0.32}
    result = summarise(values(**better), "dev")
    assert result.holds and result.ratio == pytest.approx(0.325 / 0.305)
    assert result.spread == (pytest.approx(0.33 / 0.31), pytest.approx(0.32 / 0.3))
    assert not summarise(values(**{**better, "random": 0.318}), "dev").holds
    assert not summarise(values(**{**better, "random@training.ance.learning_rate=1e-5": 0.318}), "dev").holds
    assert not summarise(values(ance=0.9, bm25=0.1), "dev").holds, "without all of them there is no claim"
