"""`ance reranker train` on a run whose trainer has begun."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ance.cli.create_run import create_run
from ance.model.bi_encoder import BiEncoder
from ance.model.cross_encoder import CrossEncoder
from ance.negatives.mined import MinedNegatives
from ance.runtime.artifacts import fetch, publish, read_manifest
from ance.runtime.contracts import ArtifactRef, Kind
from ance.runtime.layout import RunLayout
from ance.runtime.run import read_config
from ance.runtime.store import Store
from tests.cli.conftest import Ance, Salad
from tests.system.tiny import TRAIN

SETTINGS = ("--steps", "3", "--max-tokens", "24", "--learning-rate", "1e-3")


def new_run(salad: Salad, folder: Path, name: str) -> tuple[Store, RunLayout]:
    store = Store.open(salad.store)
    create_run(store, salad.config(folder / "run.yaml", run=name).read_text(), "run.yaml")
    return store, RunLayout(name)


def begin(store: Store, layout: RunLayout, salad: Salad, folder: Path) -> None:
    """What the trainer publishes first."""
    BiEncoder.start(read_config(store, layout).model).save(folder / "start")
    publish(store, layout.checkpoint(0), folder / "start", kind=Kind.CHECKPOINT, pointer=layout.pointer("checkpoint"))


def publish_negatives(store: Store, layout: RunLayout, folder: Path, step: int) -> ArtifactRef:
    listed = np.tile(np.arange(100, 110), (TRAIN, 1))
    MinedNegatives(np.arange(TRAIN), listed, listed, np.zeros(listed.shape, np.float32)).save(folder / "mined")
    pointer = layout.pointer("negatives")
    return publish(store, layout.negatives(step), folder / "mined", kind=Kind.NEGATIVES, step=step, pointer=pointer)


def test_a_reranker_is_trained_from_the_start_checkpoint_and_published(
    ance: Ance, salad: Salad, tmp_path: Path
) -> None:
    store, layout = new_run(salad, tmp_path, "reranked")
    begin(store, layout, salad, tmp_path)
    ended = ance("reranker", "train", "--store", salad.store, "--run", "reranked", *SETTINGS)
    assert ended.status == 0, ended.err
    assert ended.out.startswith("runs/reranked/reranker/0/manifest.json: 3 steps, loss 2.")
    ref = store.read_pointer(layout.pointer("reranker"))
    assert ref is not None and (ref.step, ref.fencing_token) == (0, 0)
    model = CrossEncoder.load(fetch(store, ref, tmp_path))
    assert model.tokenizer.max_tokens == 24
    start = BiEncoder.load(fetch(store, layout.checkpoint(0), tmp_path))
    words = "embeddings.word_embeddings.weight"
    moved = (model.backbone.get_parameter(f"bert.{words}") - start.backbone.get_parameter(words)).abs().max().item()
    assert 0 < moved < 0.01, "three steps away from the run's start model, and no further"

    newest = publish_negatives(store, layout, tmp_path, 40)
    for token in (1, 2):  # trained again, the reranker of the same step is replaced
        ended = ance("reranker", "train", "--store", salad.store, "--run", "reranked", *SETTINGS, "--seed", token)
        assert ended.status == 0, ended.err
        again = store.read_pointer(layout.pointer("reranker"))
        assert again is not None and (again.step, again.fencing_token) == (40, token)
    manifest = read_manifest(store, again.manifest_uri, again.manifest_sha256)
    assert manifest.parents["negatives"] == newest.manifest_sha256
    assert manifest.stats["training"]["steps"] == 3


def test_a_run_that_has_not_begun_has_nothing_to_start_from(ance: Ance, salad: Salad, tmp_path: Path) -> None:
    new_run(salad, tmp_path, "not-begun")
    ended = ance("reranker", "train", "--store", salad.store, "--run", "not-begun", *SETTINGS)
    assert ended.error == "run 'not-begun' has no start checkpoint yet: start its trainer first, e.g. with `ance up`"


@pytest.mark.parametrize(
    ("option", "value", "problem"),
    [
        ("--steps", "0", "'steps'"),
        ("--learning-rate", "-1", "'learning_rate'"),
        ("--dropout", "1", "'dropout'"),
        ("--dtype", "int8", "'dtype'"),
    ],
)
def test_a_setting_out_of_range_is_named(ance: Ance, salad: Salad, option: str, value: str, problem: str) -> None:
    ended = ance("reranker", "train", "--store", salad.store, "--run", "any", option, value)
    assert ended.error.startswith("ance reranker train: ") and problem in ended.error


def test_scoring_with_the_reranker_says_how_to_make_one(ance: Ance, salad: Salad, tmp_path: Path) -> None:
    store, layout = new_run(salad, tmp_path, "without-reranker")
    begin(store, layout, salad, tmp_path)
    ended = ance("eval", "--store", salad.store, "--run", "without-reranker", "--rerank", "10", "--split", "dev")
    assert ended.error == "run 'without-reranker' has no reranker yet: make one with `ance reranker train`"
