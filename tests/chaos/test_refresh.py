"""A refresh while everything dies: each shard once, each vector right, hardly any work done twice."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from ance.runtime.queue import TaskQueue
from ance.runtime.queue.dead_letters import DeadLetters
from ance.runtime.queue.keys import QueueKeys
from ance.runtime.redis.client import connect
from ance.runtime.redis.local_server import LocalRedis
from ance.runtime.shards import rows_of
from services.indexer.plan import plan
from tests.chaos.accidents import AGAIN, Accidents, leader, survive
from tests.chaos.clock import Clock
from tests.chaos.conftest import STEP, conditions, new_run
from tests.chaos.faults import TORN, Faults
from tests.chaos.outcome import assert_undisturbed
from tests.chaos.processes import Fleet, wait_for
from tests.chaos.reader import Reader, shards_in
from tests.services.service_run import ServiceRun

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(600)]

DUPLICATES = 0.05
"""Share of the shards that may be encoded twice."""


def test_a_refresh_survives_the_death_of_everything(
    world: Path, tmp_path: Path, redis: LocalRedis, fleets: list[Fleet], repetition: int
) -> None:
    run, checkpoint = new_run(world, tmp_path, f"chaos-{repetition}", shard_size=1)
    fleet = Fleet(conditions(tmp_path, run, redis, faults=Faults(seed=1000 * repetition)))
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
    assert shards == 1000
    assert duplicates < DUPLICATES * shards
    assert any(TORN in path.name for path in run.path(run.layout.root).rglob("*.tmp")), "no write was torn"


def test_tasks_that_are_delivered_twice_are_stored_and_counted_once(
    world: Path, tmp_path: Path, redis: LocalRedis, fleets: list[Fleet], repetition: int
) -> None:
    run, checkpoint = new_run(world, tmp_path, f"twice-{repetition}", shard_size=4)
    fleet = Fleet(conditions(tmp_path, run, redis))
    fleets.append(fleet)
    for name in ("indexer-0", "inferencer-0", "inferencer-1", "inferencer-2"):
        fleet.start(name)
    accidents = Accidents(fleet, redis)
    again = [lambda: accidents.deliver_again(QueueKeys(run.config.run))] * 6
    _, duplicates = survive(run, checkpoint, fleet, again, tmp_path / "begun")
    assert duplicates <= len(again) * 2 * AGAIN


def test_hours_that_pass_in_a_moment_or_come_again_lose_nothing(
    world: Path, tmp_path: Path, fleets: list[Fleet], repetition: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, checkpoint = new_run(world, tmp_path, f"clock-{repetition}", shard_size=1)
    clock, redis = Clock(tmp_path), LocalRedis()
    with monkeypatch.context() as environment:
        for name, value in clock.preload().items():
            environment.setenv(name, value)
        redis.start()
    try:
        fleet = Fleet(conditions(tmp_path, run, redis, clock=clock))
        fleets.append(fleet)
        for name in ("indexer-0", "indexer-1", "inferencer-0", "inferencer-1"):
            fleet.start(name)
        happen = Accidents(fleet, redis)
        accidents = [happen.jump(clock, hours=6), happen.jump(clock, hours=-12), happen.jump(clock, hours=1)]
        shards, duplicates = survive(run, checkpoint, fleet, accidents, tmp_path / "begun")
    finally:
        redis.stop()
    assert duplicates < DUPLICATES * shards


def test_a_leader_that_wakes_up_after_its_successor_has_published_changes_nothing(
    world: Path, tmp_path: Path, redis: LocalRedis, fleets: list[Fleet], repetition: int
) -> None:
    run, checkpoint = new_run(world, tmp_path, f"stale-{repetition}", shard_size=4)
    fleet = Fleet(conditions(tmp_path, run, redis))
    fleets.append(fleet)
    with Reader(run, STEP) as reader:
        for name in ("indexer-0", "indexer-1", "inferencer-0"):
            fleet.start(name)
        embeddings = run.path(run.layout.embeddings(STEP))
        wait_for(lambda: shards_in(embeddings) > 10, 120)
        stale = leader(redis)
        fleet.signal(stale, signal.SIGSTOP)
        (successor,) = {"indexer-0", "indexer-1"} - {stale}
        wait_for(lambda: fleet.processes[successor].exitcode == 0, 120)
        published = contents(run)
        fleet.signal(stale, signal.SIGCONT)
        wait_for(lambda: fleet.processes[stale].exitcode == 0, 60)
    assert contents(run) == published
    assert reader.looks > 10 and reader.complaints == []
    assert_undisturbed(run, checkpoint)


def contents(run: ServiceRun) -> dict[str, bytes]:
    """Every file of the run in the store."""
    return {key: run.store.read(key) for key in run.store.list(run.layout.root)}


def test_a_poisonous_shard_stops_the_refresh_says_why_and_can_be_put_back(
    world: Path, tmp_path: Path, redis: LocalRedis, fleets: list[Fleet], repetition: int
) -> None:
    run, checkpoint = new_run(world, tmp_path, f"poison-{repetition}", shard_size=100)
    tasks = plan(checkpoint, rows_of(run.dataset, run.config, checkpoint.step), run.config)
    poison = tmp_path / "poison"
    poison.write_text(tasks[-1].id)
    fleet = Fleet(conditions(tmp_path, run, redis, poison=poison))
    fleets.append(fleet)
    with Reader(run, STEP) as reader:
        for name in ("indexer-0", "inferencer-0"):
            fleet.start(name)
        wait_for(lambda: not fleet.running("indexer"), 120)
        assert fleet.processes["indexer-0"].exitcode == 2
        assert "this row cannot be encoded" in (tmp_path / "indexer-0.log").read_text()
        assert run.store.read_pointer(run.layout.pointer("index")) is None

        with connect(redis.url) as client:
            letters: DeadLetters = TaskQueue(client, run.config.run, "a person").dead_letters
            assert [letter.task_id for letter in letters] == [tasks[-1].id]
            poison.unlink()
            assert letters.requeue() == [tasks[-1].id]
        fleet.start("indexer-0")
        wait_for(lambda: not fleet.running("indexer"), 120)
    assert fleet.processes["indexer-0"].exitcode == 0
    assert reader.looks > 10 and reader.complaints == []
    assert_undisturbed(run, checkpoint)


def test_a_range_whose_miner_dies_is_mined_by_another(
    world: Path, tmp_path: Path, redis: LocalRedis, fleets: list[Fleet], repetition: int
) -> None:
    run, checkpoint = new_run(world, tmp_path, f"ranges-{repetition}", shard_size=4)
    fleet = Fleet(conditions(tmp_path, run, redis, ANCE_INDEXER_RANGES="3"))
    fleets.append(fleet)
    for name in ("indexer-0", "indexer-1", "inferencer-0", "inferencer-1"):
        fleet.start(name)
    happen = Accidents(fleet, redis)
    accidents = [
        happen.kill("indexer-0"),
        happen.flush_redis,
        happen.kill("indexer-1"),
        happen.pause("indexer-0"),
        happen.kill("inferencer-0"),
    ]
    shards, duplicates = survive(run, checkpoint, fleet, accidents, tmp_path / "begun")
    assert duplicates < DUPLICATES * shards
