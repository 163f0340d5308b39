"""Checkpoints as the fleet and the next trainer find them."""

from __future__ import annotations

import pytest
from redis import Redis

from ance.model.bi_encoder import BiEncoder
from ance.runtime.artifacts import CorruptArtifact, read_manifest
from ance.runtime.feed import CheckpointServer
from ance.runtime.lease import RunLease
from ance.runtime.metrics import TrainerMetrics
from ance.runtime.redis.lease import RedisLease
from ance.training.state import TrainerState
from services.trainer.checkpoints import Checkpoints
from services.trainer.stages import stages
from tests.services.conftest import NewRun
from tests.services.service_run import ServiceRun


def checkpoints(run: ServiceRun, client: Redis) -> Checkpoints:
    lease = RunLease(RedisLease(client, f"{run.config.run}/trainer", "test"))
    feed = CheckpointServer(0, run.config.run)
    return Checkpoints(run.store, run.layout, run.config, feed, TrainerMetrics(), lease, run.cache)


def test_before_the_first_there_is_none(new_run: NewRun, client: Redis) -> None:
    assert checkpoints(new_run(), client).newest() is None


def test_the_newest_is_found_again_with_its_weights_and_its_lineage(new_run: NewRun, client: Redis) -> None:
    run = new_run()
    published = checkpoints(run, client)
    model = BiEncoder.start(run.config.model)
    published.publish(model, None, TrainerState(step=0, stage="warmup"))
    restored = published.newest()
    assert restored is not None and restored.ref.step == 0
    expected, found = model.state_dict(), restored.load_model().state_dict()
    assert all(found[name].equal(value) for name, value in expected.items())
    manifest = read_manifest(run.store, restored.ref.manifest_uri)
    assert (manifest.config_sha256, manifest.stats) == (run.config.sha256, {"stage": "warmup"})


def test_a_damaged_checkpoint_is_not_restored(new_run: NewRun, client: Redis) -> None:
    run = new_run()
    run.publish_checkpoint(5)
    weights = next(run.path(run.layout.checkpoint(5)).rglob("model.safetensors"))
    data = weights.read_bytes()
    weights.unlink()
    weights.write_bytes(data[:-1])
    with pytest.raises(CorruptArtifact, match="bytes"):
        checkpoints(run, client).newest()


def test_only_a_checkpoint_from_inside_a_stage_continues_its_optimiser(new_run: NewRun, client: Redis) -> None:
    run = new_run()  # 20 warm-up steps, then 60
    inside = {}
    for step in (0, 19, 20, 21, 80):
        run.publish_checkpoint(step)
        restored = checkpoints(run, client).newest()
        assert restored is not None
        inside[step] = [stage.name for stage in stages(run.config.training) if restored.continues(stage)]
    assert inside == {0: [], 19: ["warmup"], 20: [], 21: ["ance"], 80: []}
