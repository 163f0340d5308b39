"""`ance runs gc` of a run whose indexes are in Milvus."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ance.cli.create_run import create_run
from ance.runtime.artifacts import publish
from ance.runtime.contracts import Kind
from ance.runtime.index_backend import index_backend
from ance.runtime.layout import RunLayout
from ance.runtime.milvus.collections import escaped
from ance.runtime.milvus.engine import Milvus
from ance.runtime.store import Store
from tests.cli.conftest import Ance, Salad
from tests.milvus_server import MilvusServer, milvus_server

__all__ = ["milvus_server"]

RUN = "gc-in-milvus"


@pytest.fixture
def published(salad: Salad, tmp_path: Path, milvus_server: MilvusServer) -> RunLayout:
    """A run that keeps one version of each kind, and has two."""
    settings = salad.config(tmp_path / "run.yaml", run=RUN, retention={"keep": 1}, index={"backend": "milvus"})
    store, layout = Store.open(salad.store), RunLayout(RUN)
    config = create_run(store, settings.read_text(), "run.yaml")
    backend = index_backend(config.index, milvus_server.settings(), store, layout)
    for step in (1, 2):
        builder = backend.build(4, step=step, token=0)
        builder.add(np.eye(4, dtype=np.float32), np.arange(4))
        builder.finish(tmp_path / "staging")
        publish(
            store,
            layout.index(step),
            tmp_path / "staging",
            kind=Kind.INDEX,
            step=step,
            pointer=layout.pointer("index"),
        )
    return layout


def test_collections_go_with_their_versions(
    ance: Ance, salad: Salad, published: RunLayout, milvus_server: MilvusServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ance.runtime.retention.GRACE_SECONDS", 0.0)
    arguments = ("runs", "gc", RUN, "--store", salad.store)
    assert "set ANCE_MILVUS_URI" in ance(*arguments).error
    for name, value in milvus_server.environment().items():
        monkeypatch.setenv(f"ANCE_{name}".upper(), str(value))
    milvus = Milvus(milvus_server.settings())

    def kept() -> list[str]:
        return [name.split("__")[1] for name in milvus.collections() if name.startswith(f"ance_{escaped(RUN)}__")]

    for arguments_of, steps in ((arguments, ["1", "2"]), ((*arguments, "--dry-run"), ["1", "2"]), (arguments, ["2"])):
        assert ance(*arguments_of).status == 0
        assert sorted(kept()) == steps
