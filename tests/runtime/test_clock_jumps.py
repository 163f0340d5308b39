"""The clock of Redis is set forward or back by hours: nobody dead holds on to anything, and nobody living loses it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from ance.runtime.queue import TaskQueue
from ance.runtime.redis.client import connect
from ance.runtime.redis.lease import RedisLease
from ance.runtime.redis.local_server import LocalRedis
from tests.chaos.clock import Clock
from tests.runtime.conftest import LEASE_SECONDS, encode_task, wait_until

JUMPS = pytest.mark.parametrize("hours", [-6, 6])


@pytest.fixture
def clock(tmp_path: Path) -> Clock:
    return Clock(tmp_path)


@pytest.fixture
def client(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Iterator[Redis]:
    """Of a Redis that looks at the clock."""
    server = LocalRedis()
    with monkeypatch.context() as environment:
        for name, value in clock.preload().items():
            environment.setenv(name, value)
        server.start()
    with connect(server.url) as client:
        yield client
    server.stop()


def queue(client: Redis, worker: str) -> TaskQueue:
    return TaskQueue(client, "demo", worker, lease_seconds=LEASE_SECONDS)


@JUMPS
def test_the_task_of_a_dead_worker_goes_to_another(clock: Clock, client: Redis, hours: int) -> None:
    mine, other = queue(client, "a"), queue(client, "b")
    mine.enqueue([encode_task(0)])
    assert mine.take(0) is not None
    clock.jump(hours)
    assert other.restart_clocks() == (1 if hours < 0 else 0)
    assert other.restart_clocks() == 0
    lease = other.take(2.0)
    assert lease is not None and lease.attempt == 2


@JUMPS
def test_a_living_worker_keeps_its_task_or_knows_that_it_has_gone(clock: Clock, client: Redis, hours: int) -> None:
    mine, other = queue(client, "a"), queue(client, "b")
    mine.enqueue([encode_task(0)])
    held = mine.take(0)
    assert held is not None
    with held:
        clock.jump(hours)
        taken = other.take(3 * LEASE_SECONDS)
        assert held.lost.wait(LEASE_SECONDS) if taken is not None else not held.lost.is_set()
        assert [lease.done({}) for lease in (held, taken) if lease is not None].count(True) == 1
    assert mine.outstanding() == set()


@JUMPS
def test_the_lease_of_a_dead_leader_runs_out(clock: Clock, client: Redis, hours: int) -> None:
    dead, next_one = (RedisLease(client, "demo/indexer", holder, LEASE_SECONDS) for holder in "ab")
    assert dead.acquire(0) == 1
    clock.jump(hours)
    assert wait_until(lambda: next_one.acquire(0) == 2, 2.0)


@JUMPS
def test_a_living_leader_leads_on_under_a_token_that_is_not_older(clock: Clock, client: Redis, hours: int) -> None:
    lease = RedisLease(client, "demo/indexer", "a", LEASE_SECONDS)
    token = lease.acquire(0)
    clock.jump(hours)
    assert lease.renew(token) >= token


def test_a_queue_that_is_not_there_has_no_clocks_to_restart(client: Redis) -> None:
    assert queue(client, "a").restart_clocks() == 0
