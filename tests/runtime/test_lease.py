"""One leader at a time, and fencing tokens that only grow."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import pytest
from redis import Redis

from ance.runtime.lease import RunLease
from ance.runtime.redis.lease import RedisLease
from ance.runtime.redis.local_server import LocalRedis

from .conftest import wait_until

TTL = 0.4
KEY = "ance:lease:{demo/indexer}"
Candidate = Callable[[str], RunLease]


@pytest.fixture
def candidate(client: Redis) -> Iterator[Candidate]:
    """Makes candidates for one lease, and releases what they hold at the end."""
    leases: list[RunLease] = []

    def make(holder: str) -> RunLease:
        leases.append(RunLease(RedisLease(client, "demo/indexer", holder, TTL)))
        return leases[-1]

    yield make
    for lease in leases:
        lease.release()


def refused(lease: RunLease, seconds: float = 0.0) -> bool:
    """Whether the lease cannot be had within `seconds`."""
    deadline = time.monotonic() + seconds
    asked = iter([False])
    return lease.acquire(stop=lambda: next(asked, time.monotonic() >= deadline)) is None


def crash(lease: RunLease) -> None:
    """The holder dies: nobody renews, nobody releases."""
    assert lease._heartbeat is not None
    lease._heartbeat.stop()


def test_only_one_holds_the_lease(candidate: Candidate) -> None:
    a, b = candidate("a"), candidate("b")
    assert a.acquire() == 1
    assert refused(b, 2 * TTL)
    assert not a.lost.is_set()


def test_the_same_holder_name_in_another_process_is_another_holder(candidate: Candidate) -> None:
    assert candidate("pod-0").acquire()
    assert refused(candidate("pod-0"))


def test_a_released_lease_is_free_at_once_and_the_token_grows(candidate: Candidate) -> None:
    a, b = candidate("a"), candidate("b")
    assert a.acquire() == 1
    a.release()
    assert b.acquire() == 2
    b.release()
    assert a.acquire() == 3


def test_a_holder_that_has_released_the_lease_knows_that_it_is_not_its_own_any_more(candidate: Candidate) -> None:
    lease = candidate("a")
    lease.acquire()
    lease.release()
    assert lease.lost.is_set()
    lease.acquire()
    assert not lease.lost.is_set()


def test_the_lease_of_a_dead_holder_runs_out(candidate: Candidate) -> None:
    a, b = candidate("a"), candidate("b")
    a.acquire()
    crash(a)
    assert refused(b)
    assert b.acquire() == 2


def test_a_stale_holder_cannot_renew_and_knows_it(candidate: Candidate, client: Redis) -> None:
    lease = candidate("a")
    lease.acquire()
    client.set(KEY, "2 b", px=5000)
    assert lease.lost.wait(2)
    assert client.get(KEY) == "2 b"


def test_a_stale_holder_cannot_release_the_lease_of_another(candidate: Candidate) -> None:
    a, b, c = candidate("a"), candidate("b"), candidate("c")
    a.acquire()
    crash(a)
    assert b.acquire()
    a.release()
    assert refused(c)
    assert not b.lost.is_set()


def test_tokens_grow_across_a_flush_when_the_floor_comes_from_the_store(candidate: Candidate, client: Redis) -> None:
    a, b = candidate("a"), candidate("b")
    token = a.acquire(lambda: 41)
    assert token == 42
    crash(a)
    client.flushall()
    assert b.acquire(lambda: token) == 43


def test_a_token_that_was_published_under_during_the_wait_is_not_given_again(candidate: Candidate) -> None:
    published = iter([0, 5, 5])
    assert candidate("a").acquire(lambda: next(published)) == 6


def test_a_holder_takes_a_flushed_lease_again_with_a_higher_token(candidate: Candidate, client: Redis) -> None:
    lease = candidate("a")
    lease.acquire(lambda: 6)
    client.flushall()
    assert wait_until(lambda: lease.reacquired == 1)
    assert lease.token == 8
    assert not lease.lost.is_set()
    assert refused(candidate("b"), 2 * TTL)


def test_a_holder_gives_up_when_another_led_in_between(candidate: Candidate, client: Redis) -> None:
    lease = candidate("a")
    lease.acquire()
    with client.pipeline() as pipeline:
        pipeline.delete(KEY)
        pipeline.incr(f"{KEY}:token")
        pipeline.execute()
    assert lease.lost.wait(2)
    assert lease.reacquired == 0


def test_acquire_waits_until_it_is_stopped(candidate: Candidate) -> None:
    a, b = candidate("a"), candidate("b")
    a.acquire()
    stop = threading.Event()
    timer = threading.Timer(0.1, stop.set)
    timer.start()
    assert b.acquire(stop=stop.is_set) is None
    timer.join()


def test_one_try_takes_a_free_lease_and_keeps_it_and_of_a_held_one_it_says_so_at_once(candidate: Candidate) -> None:
    a, b = candidate("a"), candidate("b")
    assert a.try_acquire(41) == 42
    assert b.try_acquire(41) is None
    assert not a.lost.wait(2 * TTL)
    assert b.try_acquire(41) is None
    a.release()
    assert b.try_acquire() == 43


def test_one_try_during_an_outage_is_in_vain_and_two_are_logged_once(
    mortal_redis: LocalRedis, mortal_client: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    lease = RunLease(RedisLease(mortal_client, "demo/range-0", "a", TTL))
    mortal_redis.stop()
    assert lease.try_acquire() is None
    assert lease.try_acquire() is None
    mortal_redis.start()
    assert lease.try_acquire() == 1
    assert caplog.text.count("redis is unreachable, the lease demo/range-0 waits") == 1
    lease.release()


def test_release_without_acquire_is_harmless(candidate: Candidate) -> None:
    candidate("a").release()


def test_the_lease_is_lost_when_redis_is_away_for_its_time_to_live(
    mortal_redis: LocalRedis, mortal_client: Redis
) -> None:
    lease = RunLease(RedisLease(mortal_client, "demo/trainer", "a", 0.6))
    lease.acquire()
    mortal_redis.stop()
    stopped = time.monotonic()
    assert lease.lost.wait(3)
    assert time.monotonic() - stopped < 0.7
    lease.release()


def test_acquire_outlives_an_outage(mortal_redis: LocalRedis, mortal_client: Redis) -> None:
    lease = RunLease(RedisLease(mortal_client, "demo/trainer", "a", TTL))
    mortal_redis.stop()
    timer = threading.Timer(0.3, mortal_redis.start)
    timer.start()
    assert lease.acquire(lambda: 3) == 4
    timer.join()
    lease.release()
