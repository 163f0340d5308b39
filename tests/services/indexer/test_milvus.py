"""A refresh whose index goes into Milvus."""

from __future__ import annotations

import numpy as np
import pytest
from redis import Redis

from ance.runtime.artifacts import fetch
from ance.runtime.milvus.collections import alias_of
from ance.runtime.milvus.engine import Milvus
from ance.runtime.shutdown import Shutdown
from services.indexer.collector import Collector, PassInterrupted
from tests.milvus_server import MilvusServer, milvus_server
from tests.services.conftest import NewRun
from tests.services.indexer.passes import DIM, Pass, checkpoint, made_up
from tests.services.indexer.test_loop import announce, indexer
from tests.system.tiny import PASSAGES

__all__ = ["milvus_server"]


@pytest.fixture
def in_milvus(new_run: NewRun, client: Redis, shutdown: Shutdown, milvus_server: MilvusServer) -> Pass:
    run = new_run(index={"backend": "milvus"}, negatives={"sample": 8, "lookahead": 0.5})
    return Pass(run, client, shutdown, environment=milvus_server.environment())


def refresh(under_way: Pass, step: int) -> None:
    assert under_way.lease.acquire() is not None
    try:
        with under_way.worker.working():
            under_way.refresh.run(checkpoint(under_way.run, step), under_way.lease)
    finally:
        under_way.lease.release()


def test_the_published_index_is_a_record_of_a_collection_with_every_passage(in_milvus: Pass) -> None:
    run = in_milvus.run
    refresh(in_milvus, 20)
    folder = fetch(run.store, run.layout.index(20), run.cache)
    assert sorted(path.name for path in folder.iterdir()) == ["eval.json", "manifest.json", "milvus.json"]
    index = in_milvus.refresh.backend.open(folder)
    assert (index.size, index.dim) == (PASSAGES, DIM)
    vectors = np.concatenate([made_up(task) for task in in_milvus.tasks() if task.part == "passages"])
    rows, _ = index.search(vectors, 10)
    np.testing.assert_array_equal(rows, np.argsort(-(vectors @ vectors.T), axis=1)[:, :10])
    recall = in_milvus.metrics.registry.get_sample_value("ance_indexer_recall_probe_ratio")
    assert recall == 1.0


def test_a_pass_that_was_interrupted_is_done_again_in_another_collection(
    in_milvus: Pass, milvus_server: MilvusServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    milvus, run = Milvus(milvus_server.settings()), in_milvus.run

    def leadership_is_lost(self: Collector) -> None:
        if in_milvus.metrics.registry.get_sample_value("ance_indexer_refresh_shards_done") == 8:
            raise PassInterrupted("the lease is lost")

    before = set(milvus.collections())
    with monkeypatch.context() as interrupted, pytest.raises(PassInterrupted):
        interrupted.setattr(Collector, "require_leadership", leadership_is_lost)
        refresh(in_milvus, 20)
    (torn,) = set(milvus.collections()) - before
    assert run.store.read_pointer(run.layout.pointer("index")) is None
    refresh(in_milvus, 20)
    (whole,) = set(milvus.collections()) - before
    assert whole != torn
    assert milvus.count(whole) == PASSAGES


def test_when_a_run_is_finished_its_alias_names_its_last_version(in_milvus: Pass, milvus_server: MilvusServer) -> None:
    announce(in_milvus, 80, final=True)
    with indexer(in_milvus) as leader, in_milvus.worker.working():
        leader.run()
    assert Milvus(milvus_server.settings()).count(alias_of(in_milvus.run.config.run)) == PASSAGES
