"""All systems of a run on the splits of its data set: full ranking and re-ranking, in one call."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import ir_measures
import numpy as np
import pytest
import yaml

from ance.cli.create_run import create_run
from ance.cli.prepare import prepare_dataset
from ance.cli.run_scores import Candidates, evaluate_splits
from ance.data.dataset import Dataset
from ance.errors import AnceError
from ance.evaluation import systems
from ance.model.encoding import TextEncoder
from ance.runtime.artifacts import fetch
from ance.runtime.layout import RunLayout
from ance.runtime.store import Store
from tests.cli.conftest import Ance
from tests.services.service_run import ServiceRun
from tests.system.tiny import WORDS, config, write_encoder

PASSAGES, QUERIES = 60, 8
CANDIDATES = 7


def write_marco(folder: Path) -> Path:
    """Files of MS MARCO: train, dev with a top 1000, and a query set of its own, `lunch`."""
    rng = random.Random(3)
    folder.mkdir()
    texts = [" ".join(rng.sample(WORDS, 8)) for _ in range(PASSAGES)]
    (folder / "collection.tsv").write_text("".join(f"{row}\t{text}\n" for row, text in enumerate(texts)))
    top = ""
    for number, split in enumerate(("train", "dev", "lunch")):
        rows = range(number * QUERIES, (number + 1) * QUERIES)
        asked = "".join(f"{row}\t{' '.join(texts[row].split()[:3])}\n" for row in rows)
        (folder / f"queries.{split}.tsv").write_text(asked)
        (folder / f"qrels.{split}.tsv").write_text("".join(f"{row}\t0\t{row}\t1\n" for row in rows))
        if split == "dev":
            top = "".join(f"{row}\t{other}\tq\tp\n" for row in rows for other in [row, *range(40, 39 + CANDIDATES)])
    (folder / "top1000.dev").write_text(top)
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> ServiceRun:
    """A run with its start, warm-up and one ANCE checkpoint, of random weights."""
    folder = tmp_path_factory.mktemp("marco")
    encoder = write_encoder(folder / "encoder")
    url = f"file://{folder / 'store'}"
    prepare_dataset(f"msmarco:{write_marco(folder / 'files')}", url, str(encoder), name="salad")
    store = Store.open(url)
    text = yaml.safe_dump(config(encoder, evaluation={"depth": 30}))
    values = create_run(store, text, "test")
    dataset = Dataset.open(fetch(store, RunLayout.dataset("salad"), folder / "cache"))
    (folder / "cache").mkdir(exist_ok=True)
    created = ServiceRun(values, store, RunLayout("tiny"), dataset, folder / "cache")
    for step in (0, 20, 25):
        created.publish_checkpoint(step)
    return created


def test_full_ranking_and_re_ranking_of_given_candidates_take_one_call(run: ServiceRun, tmp_path: Path) -> None:
    (report,) = evaluate_splits(
        run.store.url, "tiny", ["dev"], trec=tmp_path, candidates=Candidates.GIVEN, against="start"
    )
    assert list(report["systems"]) == ["bm25", "start", "given+start", "warmup", "given+warmup", "ance", "given+ance"]
    assert report["systems"]["given+ance"]["R@100"] == 1.0, "every positive is among the candidates"
    assert set(report["systems"]["ance"]) >= {
        "RR@10",
        "AP@10",
        "nDCG@10",
        "R@100",
        "Judged@10",
        "hole@10",
        "overlap@100",
    }
    assert set(report["against"]["compared"]) == set(report["systems"]) - {"start"}
    full, given = (
        list(ir_measures.read_trec_run(str(tmp_path / f"{name}.dev.run"))) for name in ("ance", "given+ance")
    )
    assert len(full) == QUERIES * 30 and len(given) == QUERIES * CANDIDATES
    scores = {(line.query_id, line.doc_id): line.score for line in full}
    both = [(scores[key], line.score) for line in given if (key := (line.query_id, line.doc_id)) in scores]
    assert len(both) > QUERIES, "a passage has the same score in both rankings"
    np.testing.assert_allclose(*zip(*both, strict=True), rtol=1e-5)
    judged = ir_measures.read_trec_qrels(str(tmp_path / "dev.qrels"))
    measured = ir_measures.calc_aggregate([ir_measures.RR @ 10], list(judged), given)
    assert report["systems"]["given+ance"]["RR@10"] == pytest.approx(measured[ir_measures.RR @ 10])


def test_models_run_on_the_device_that_is_asked_for(run: ServiceRun, monkeypatch: pytest.MonkeyPatch) -> None:
    devices, load = [], TextEncoder.load

    def observed(folder: Path, *, device: str, **options: Any) -> TextEncoder:
        devices.append(device)
        return load(folder, **options)

    monkeypatch.setattr(TextEncoder, "load", observed)
    evaluate_splits(run.store.url, "tiny", ["dev"], systems=["start", "ance"], device="cuda")
    assert devices == ["cuda", "cuda"]


def test_bm25s_first_passages_can_be_re_ranked(run: ServiceRun) -> None:
    (report,) = evaluate_splits(run.store.url, "tiny", ["lunch"], candidates=Candidates.BM25, systems=["ance"])
    assert list(report["systems"]) == ["bm25", "ance", "bm25+ance"]
    assert report["systems"]["bm25+ance"]["R@1000"] == report["systems"]["bm25"]["R@1000"]


def test_the_corpus_is_encoded_once_a_model_for_all_splits(run: ServiceRun, monkeypatch: pytest.MonkeyPatch) -> None:
    passes = []
    stream = systems.stream_corpus
    monkeypatch.setattr(systems, "stream_corpus", lambda *arguments: passes.append(1) or stream(*arguments))
    together = evaluate_splits(run.store.url, "tiny", ["dev", "lunch"])
    assert len(passes) == 3, "start, warm-up and ANCE"
    assert together == [evaluate_splits(run.store.url, "tiny", [split])[0] for split in ("dev", "lunch")]


def test_without_a_warm_up_its_end_is_the_start_and_is_not_ranked_twice(run: ServiceRun) -> None:
    values = config(Path(run.config.model.name_or_path), run="cold", evaluation={"depth": 30})
    values["training"]["warmup"] |= {"steps": 0}
    created = create_run(run.store, yaml.safe_dump(values), "test")
    cold = ServiceRun(created, run.store, RunLayout("cold"), run.dataset, run.cache)
    for step, systems_there in ((0, ["bm25", "start"]), (5, ["bm25", "start", "ance"])):
        cold.publish_checkpoint(step)
        (report,) = evaluate_splits(run.store.url, "cold", ["lunch"])
        assert list(report["systems"]) == systems_there


def test_only_the_systems_that_are_asked_for_are_ranked(run: ServiceRun) -> None:
    (report,) = evaluate_splits(run.store.url, "tiny", ["dev"], systems=["warmup"])
    assert list(report["systems"]) == ["warmup"] and "overlap@100" not in report["systems"]["warmup"]


def test_the_command_prints_one_object_or_one_for_each_split(ance: Ance, run: ServiceRun) -> None:
    command = ("eval", "--store", run.store.url, "--run", "tiny", "--json", "--threads", "1")
    assert json.loads(ance(*command, "--split", "lunch").out)["split"] == "lunch"
    assert [one["split"] for one in json.loads(ance(*command, "--split", "lunch", "--split", "dev").out)] == [
        "lunch",
        "dev",
    ]


def test_the_table_shows_how_each_system_differs(ance: Ance, run: ServiceRun) -> None:
    ended = ance("eval", "--store", run.store.url, "--run", "tiny", "--split", "dev", "--against", "bm25")
    assert ended.status == 0, ended.err
    assert any(row.startswith("ance - bm25: RR@10 ") and "(p " in row for row in ended.out.splitlines())


def test_more_measures_can_be_asked_for(ance: Ance, run: ServiceRun) -> None:
    command = ("eval", "--store", run.store.url, "--run", "tiny", "--split", "lunch", "--json", "--against", "bm25")
    report = json.loads(ance(*command, "--measure", "RR@100", "--measure", "R(rel=2)@10").out)
    assert report["systems"]["ance"]["RR@100"] >= report["systems"]["ance"]["RR@10"] > 0
    assert report["systems"]["ance"]["R(rel=2)@10"] == 0, "all grades are 1"
    assert "RR@100" in report["against"]["compared"]["ance"]
    assert report["left_out"] == 0


def test_what_cannot_be_scored_is_refused(ance: Ance, run: ServiceRun) -> None:
    command = ("eval", "--store", run.store.url, "--run", "tiny")
    assert "has no split 'supper'" in ance(*command, "--split", "supper").error
    assert (
        "split 'lunch': its source gave no candidates"
        in ance(*command, "--split", "lunch", "--candidates", "given").error
    )
    assert "measure 'RR' does not fit" in ance(*command, "--split", "dev", "--measure", "RR").error


def test_a_system_that_is_not_there_is_named_before_any_work(run: ServiceRun, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(systems, "stream_corpus")
    there = "bm25, start, warmup, ance, given\\+start, given\\+warmup, given\\+ance"
    with pytest.raises(AnceError, match=f"no system 'bm26' to compare with; there are: {there}$"):
        evaluate_splits(run.store.url, "tiny", ["dev"], candidates=Candidates.GIVEN, against="bm26")
    with pytest.raises(AnceError, match=r"there are: warmup$"):
        evaluate_splits(run.store.url, "tiny", ["dev"], systems=["warmup"], against="bm25")
