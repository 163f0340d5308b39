"""A refresh while everything dies: each shard once, each vector right, hardly any work done twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from ance.runtime.dead_letters import DeadLetters
from ance.runtime.local_redis import LocalRedis
from ance.runtime.queue import TaskQueue
from ance.runtime.redis_client import connect
from services.indexer.plan import plan, rows_of
from tests.chaos.accidents import Accidents, survive
from tests.chaos.conftest import conditions, new_run
from tests.chaos.faults import Faults
from tests.chaos.outcome import assert_undisturbed
from tests.chaos.processes import Fleet, wait_for

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(600)]

DUPLICATES = 0.05
"""Share of the shards that may be encoded twice."""


def test_a_refresh_survives_the_death_of_everything(
    world: Path, tmp_path: Path, redis: LocalRedis, fleets: list[Fleet]
) -> None:
    run, checkpoint = new_run(world, tmp_path, "chaos", shard_size=1)
    fleet = Fleet(conditions(tmp_path, run, redis, faults=Faults(seed=7)))
    fleets.append(fleet)
    for name in ("indexer-0", "indexer-1", "inferencer-0", "inferencer-1", "inferencer-2"):
        fleet.start(name)
    happen = Accidents(fleet, redis)
    accidents = [
        happen.kill("inferencer-0"),
        happen.pause("inferencer-1"),
        happen.kill("indexer-0"),
        happen.restart_redis,
        happen.kill("inferencer-2"),
        happen.pause("indexer-1"),
        happen.flush_redis,
        happen.kill("inferencer-1"),
        happen.kill("indexer-1"),
    ]
    shards, duplicates = survive(run, checkpoint, fleet, accidents, tmp_path / "begun")
    assert shards == 360
    assert duplicates < DUPLICATES * shards


def test_a_poisonous_shard_stops_the_refresh_says_why_and_can_be_put_back(
    world: Path, tmp_path: Path, redis: LocalRedis, fleets: list[Fleet]
) -> None:
    run, checkpoint = new_run(world, tmp_path, "poison", shard_size=40)
    tasks = plan(checkpoint, rows_of(run.dataset, run.config), run.config)
    poison = tmp_path / "poison"
    poison.write_text(tasks[-1].id)
    fleet = Fleet(conditions(tmp_path, run, redis, poison=poison))
    fleets.append(fleet)
    for name in ("indexer-0", "inferencer-0"):
        fleet.start(name)
    wait_for(lambda: not fleet.running("indexer"), 120)
    assert fleet.processes["indexer-0"].exitcode == 2
    assert "this row cannot be encoded" in (tmp_path / "indexer-0.log").read_text()
    assert run.store.read_pointer(run.layout.pointer("index")) is None

    with connect(redis.url) as client:
        letters: DeadLetters = TaskQueue(client, "poison", "a person").dead_letters
        assert [letter.task_id for letter in letters] == [tasks[-1].id]
        poison.unlink()
        assert letters.requeue() == [tasks[-1].id]
    fleet.start("indexer-0")
    wait_for(lambda: not fleet.running("indexer"), 120)
    assert fleet.processes["indexer-0"].exitcode == 0
    assert_undisturbed(run, checkpoint)
