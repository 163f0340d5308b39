"""`ance export`: a folder for sentence-transformers, with a model card."""

from __future__ import annotations

import json
import runpy
from pathlib import Path

import numpy as np
import pytest
import yaml
from sentence_transformers import SentenceTransformer

from ance.model.bi_encoder import BiEncoder
from ance.model.encoding import TextEncoder
from ance.runtime.artifacts import publish, published
from ance.runtime.contracts import Kind, RunConfig
from ance.runtime.layout import RunLayout
from ance.runtime.store import Store
from tests.cli.conftest import Ance, Salad
from tests.system.tiny import config

TEXTS = ["ban bel bim", "cor"]


def publish_run(salad: Salad, name: str, *steps: int, **model: object) -> RunLayout:
    """A run with checkpoints of the encoder as it is, and the record of a refresh with each."""
    values, store, layout = config(salad.encoder, run=name), Store.open(salad.store), RunLayout(name)
    values["model"] |= model
    store.write(layout.run_yaml, json.dumps(values).encode())
    for step in steps:
        folder = salad.folder / "exported" / f"{name}-{step}"
        BiEncoder.start(RunConfig.model_validate(values).model).save(folder)
        (folder / "trainer_state").mkdir()
        (folder / "trainer_state" / "state.json").write_text("{}")
        publish(
            store,
            layout.checkpoint(step),
            folder,
            kind=Kind.CHECKPOINT,
            run_id=name,
            step=step,
            pointer=layout.pointer("checkpoint"),
        )
        record = {"step": step, "dev": {"RR@10": 0.25 + step / 1000}}
        store.write(layout.refresh_record(step), json.dumps(record).encode())
    return layout


def front_matter(card: str) -> dict[str, object]:
    matter: dict[str, object] = yaml.safe_load(card.split("---\n")[1])
    return matter


def test_the_newest_checkpoint_is_exported_with_its_card(ance: Ance, salad: Salad, tmp_path: Path) -> None:
    layout = publish_run(salad, "exported", 20, 45)
    ended = ance("export", "exported", "--store", salad.store, "--to", tmp_path / "model")
    assert ended.status == 0, ended.err
    assert "checkpoint 45 of run exported" in ended.out

    peer = SentenceTransformer(str(tmp_path / "model"), device="cpu")
    store = Store.open(salad.store)
    folder = store.local(layout.checkpoint(45))
    assert folder is not None
    np.testing.assert_allclose(peer.encode(TEXTS), TextEncoder.load(folder).encode_texts(TEXTS, 16), atol=1e-5)

    files = {path.name for path in (tmp_path / "model").iterdir()}
    assert {"README.md", "modules.json", "model.safetensors"} <= files
    assert not files & {"trainer_state", "manifest.json"}
    card = (tmp_path / "model" / "README.md").read_text()
    assert front_matter(card)["library_name"] == "sentence-transformers"
    assert "base_model" not in front_matter(card), "a folder of this machine is nobody's base model"
    assert str(salad.folder) not in card
    for line in (
        "# exported, step 45",
        "| data set | salad |",
        "| passages | 240 |",
        "| warm-up | 20 steps, bm25 negatives, pairwise loss, learning rate 0.001 |",
        "| ANCE | 25 steps, ance negatives, pairwise loss, learning rate 0.001 |",
        "| RR@10 | 0.2950 |",
        "In training a passage was read as `title text`, a query as `text`.",
        "| passage format | title text |",
        "query = model.encode(question)",
        'passages = model.encode([as_passage("Hard negatives", text)])',
    ):
        assert line in card


def test_another_version_of_two_towers_in_chunks(ance: Ance, salad: Salad, tmp_path: Path) -> None:
    publish_run(salad, "exported-towers", 5, 20, shared=False, max_chunks=4)
    to = tmp_path / "model"
    to.mkdir()  # empty: it may be there
    assert ance("export", "exported-towers", "--store", salad.store, "--version", "5", "--to", to).status == 0
    card = (to / "README.md").read_text()
    assert "step 5" in card and "| ANCE | none |" in card
    assert "up to 4 consecutive chunks of 16 tokens" in card
    assert "model.encode_query(" in card and "model.encode_document(" in card
    assert SentenceTransformer(str(to), device="cpu").encode_query(TEXTS).shape == (2, 32)


def test_the_version_that_is_best_on_dev_is_exported_where_it_is_asked_for(
    ance: Ance, salad: Salad, tmp_path: Path
) -> None:
    layout, store = publish_run(salad, "exported-best", 20, 45), Store.open(salad.store)
    command = ("export", "exported-best", "--store", salad.store, "--to", tmp_path / "model", "--best")
    assert "no version that was measured on a dev split yet" in ance(*command).err
    best = published(store, layout.checkpoint(20))
    assert best is not None
    store.move_pointer(layout.pointer("best"), best)
    assert "leave one out" in ance(*command, "--version", "45").err
    assert "checkpoint 20 of run exported-best" in ance(*command).out


def test_the_card_shows_code_that_runs(ance: Ance, salad: Salad, tmp_path: Path) -> None:
    publish_run(salad, "exported-code", 5)
    ance("export", "exported-code", "--store", salad.store, "--to", tmp_path / "model")
    card = (tmp_path / "model" / "README.md").read_text()
    code = card.split("```python\n")[1].split("```")[0].replace("FOLDER", str(tmp_path / "model"))
    (tmp_path / "shown.py").write_text(code)
    assert np.shape(runpy.run_path(str(tmp_path / "shown.py"))["scores"]) == (1,)


def test_a_name_of_the_hub_is_the_base_model(salad: Salad, tmp_path: Path) -> None:
    from ance.cli.model_card import model_card
    from ance.data.dataset import Dataset
    from ance.runtime.artifacts import fetch, read_manifest
    from ance.runtime.layout import manifest_of

    layout, store = publish_run(salad, "exported-hub", 5), Store.open(salad.store)
    values = config(salad.encoder, run="exported-hub")
    values["model"]["name_or_path"] = "someone/some-encoder"
    dataset = Dataset.open(fetch(store, layout.dataset("salad"), tmp_path))
    manifest = read_manifest(store, manifest_of(layout.checkpoint(5)))
    card = model_card(RunConfig.model_validate(values), 5, manifest, dataset, {})
    assert front_matter(card)["base_model"] == "someone/some-encoder"
    assert "Nothing was measured" in card


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("exported-bad", "--version", "7"), "has no checkpoint of step 7; `ance runs show exported-bad`"),
        (("exported-none",), "no checkpoint yet"),
        (("no-such-run",), "no such run"),
    ],
)
def test_what_is_not_there_is_named(
    ance: Ance, salad: Salad, tmp_path: Path, arguments: tuple[str, ...], problem: str
) -> None:
    publish_run(salad, "exported-bad", 5)
    publish_run(salad, "exported-none")
    ended = ance("export", *arguments, "--store", salad.store, "--to", tmp_path / "model")
    assert problem in ended.error
    assert not (tmp_path / "model").exists()


def test_nothing_is_written_over(ance: Ance, salad: Salad, tmp_path: Path) -> None:
    publish_run(salad, "exported-over", 5)
    (tmp_path / "precious").write_text("")
    ended = ance("export", "exported-over", "--store", salad.store, "--to", tmp_path)
    assert "not empty" in ended.error
    assert [path.name for path in tmp_path.iterdir()] == ["precious"]
