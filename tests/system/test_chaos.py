"""The short form of `make chaos`: a worker, the leader and the memory of Redis are lost in one refresh."""

from __future__ import annotations

from pathlib import Path

import pytest

from ance.runtime.redis.local_server import LocalRedis
from tests.chaos.accidents import Accidents, survive
from tests.chaos.conftest import conditions, fleets, new_run, redis, world
from tests.chaos.processes import Fleet

__all__ = ["fleets", "redis", "world"]


@pytest.mark.timeout(180)
def test_a_refresh_survives_a_dead_worker_a_flushed_redis_and_a_dead_leader(
    world: Path, tmp_path: Path, redis: LocalRedis, fleets: list[Fleet]
) -> None:
    run, checkpoint = new_run(world, tmp_path, "short", shard_size=12)
    fleet = Fleet(conditions(tmp_path, run, redis))
    fleets.append(fleet)
    for name in ("indexer-0", "inferencer-0", "inferencer-1"):
        fleet.start(name)
    happen = Accidents(fleet, redis)
    accidents = [happen.kill("inferencer-0"), happen.flush_redis, happen.kill("indexer-0")]
    shards, duplicates = survive(run, checkpoint, fleet, accidents, tmp_path / "begun")
    assert shards == 84
    assert duplicates <= 3, "one for what the dead worker had in hand, and two for what was flushed in two hands"
