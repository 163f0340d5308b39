"""A whole run whose only common ground is an object store: nothing is read or written in place."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from ance.cli.create_run import create_run
from ance.cli.local_run import run_local
from ance.cli.prepare import prepare_dataset
from ance.cli.stack import StackOptions
from ance.runtime.artifacts import fetch, read_manifest
from ance.runtime.layout import RunLayout, manifest_of
from ance.runtime.store import Store
from tests.system.tiny import PASSAGES, config, write_beir, write_encoder

pytestmark = pytest.mark.timeout(600)

STEPS = 10


def test_a_run_on_an_object_store_trains_refreshes_and_ends(s3_url: str, tmp_path: Path) -> None:
    encoder, beir = write_encoder(tmp_path / "encoder"), write_beir(tmp_path / "beir")
    prepare_dataset(f"beir:{beir}", s3_url, str(encoder), name="salad")
    values = config(encoder, run="cloud", encoding={"shard_size": 120})
    values["training"] |= {
        "warmup": values["training"]["warmup"] | {"steps": STEPS // 2},
        "ance": values["training"]["ance"] | {"steps": STEPS // 2},
    }
    store, layout = Store.open(s3_url), RunLayout("cloud")
    create_run(store, yaml.safe_dump(values), "run.yaml")

    folder = tmp_path / "local"
    assert run_local(StackOptions(s3_url, "cloud", folder, search=False), then_serve=False), logs(folder)

    for name in ("checkpoint", "negatives", "index"):
        ref = store.read_pointer(layout.pointer(name))
        assert ref is not None and (ref.step, ref.final) == (STEPS, True)
        fetch(store, ref, tmp_path / "cache")  # every byte is what its manifest says
    embeddings = read_manifest(store, manifest_of(layout.embeddings(STEPS)))
    assert sorted(entry.path for entry in embeddings.files) == [
        "dev_queries/0.npy",
        "passages/0.npy",
        "passages/1.npy",
        "train_queries/0.npy",
    ]
    assert json.loads(store.read(layout.refresh_record(STEPS)))["rows"]["passages"] == PASSAGES
    assert any((folder / "cache").iterdir())


def logs(folder: Path) -> str:
    return "\n".join(path.read_text() for path in (folder / "logs").iterdir())
