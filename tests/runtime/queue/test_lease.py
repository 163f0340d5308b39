"""What a worker can do with a leased task, and what happens when it dies."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from redis import Redis

from ance.runtime.queue import TaskQueue
from ance.runtime.queue.dead_letters import WORKER_DIED
from ance.runtime.queue.lease import TaskLease
from ance.runtime.redis.local_server import LocalRedis
from tests.runtime.conftest import LEASE_SECONDS, encode_task, wait_until

Worker = Callable[..., TaskQueue]


def leased(queue: TaskQueue, block_seconds: float = 0.0) -> TaskLease:
    lease = queue.take(block_seconds)
    assert lease is not None
    return lease


@pytest.fixture
def dying(worker: Worker) -> TaskLease:
    """A lease of shard 0 whose worker never renews it."""
    queue = worker("dying")
    queue.enqueue([encode_task(0)])
    return leased(queue)


def test_the_task_of_a_dead_worker_goes_to_another(worker: Worker, dying: TaskLease) -> None:
    other = worker("other")
    assert other.take(0) is None
    lease = leased(other, 2)
    assert lease.task == dying.task
    assert lease.attempt == 2


def test_a_heartbeat_keeps_a_long_task_from_being_stolen(worker: Worker) -> None:
    seconds = 2.0  # a busy machine may stop a heartbeat for a good part of a second
    queue = worker("slow", seconds)
    queue.enqueue([encode_task(0)])
    with leased(queue) as lease:
        assert worker("thief", seconds).take(1.5 * seconds) is None
        assert not lease.interrupted
        assert lease.done({})


def test_a_stale_lease_cannot_renew_or_take_the_task_back(worker: Worker, dying: TaskLease) -> None:
    assert dying.renew()
    lease = leased(worker("other"), 2)
    assert not dying.renew()
    assert lease.renew()


def test_renewals_do_not_count_as_attempts(worker: Worker, dying: TaskLease) -> None:
    for _ in range(5):
        assert dying.renew()
    assert leased(worker("other"), 2).attempt == 2


def test_a_heartbeat_notices_that_the_lease_is_lost(worker: Worker, dying: TaskLease) -> None:
    leased(worker("other"), 2)
    with dying:
        assert dying.lost.wait(2)
    assert dying.interrupted


def test_done_on_a_lost_lease_records_the_completion_and_spares_the_other(worker: Worker, dying: TaskLease) -> None:
    queue = worker("other")
    lease = leased(queue, 2)
    assert not dying.done({"rows": "10"})
    assert queue.outstanding() == {lease.task.id}
    assert lease.renew()
    assert lease.done({"rows": "10"})
    assert [record.worker for record in queue.completions()] == ["dying", "other"]


@pytest.mark.parametrize("settle", ["hand_back", "discard", "fail"])
def test_a_lost_lease_cannot_touch_the_task(worker: Worker, dying: TaskLease, settle: str) -> None:
    lease = leased(worker("other"), 2)
    assert not (dying.fail("late") if settle == "fail" else getattr(dying, settle)())
    assert lease.renew()


def test_done_after_a_flush_is_harmless(worker: Worker, dying: TaskLease, client: Redis) -> None:
    client.flushall()
    assert not dying.done({})
    assert len(worker("a").completions()) == 1


def test_a_task_handed_back_is_claimable_at_once_and_the_attempt_does_not_count(worker: Worker) -> None:
    queue = worker("leaving")
    queue.enqueue([encode_task(0)])
    for _ in range(5):
        with leased(queue) as lease:
            assert lease.attempt == 1
            assert lease.hand_back()
    assert leased(worker("other")).attempt == 1


def test_a_hand_back_keeps_the_count_of_earlier_attempts(worker: Worker, dying: TaskLease) -> None:
    queue = worker("other")
    second = leased(queue, 2)
    assert second.hand_back()
    assert leased(queue).attempt == second.attempt == 2


def test_a_failed_task_is_claimable_at_once_and_the_attempt_counts(worker: Worker) -> None:
    queue = worker("a")
    queue.enqueue([encode_task(0)])
    assert leased(queue).fail("out of memory")
    assert leased(worker("b")).attempt == 2


def test_a_task_that_always_fails_becomes_a_dead_letter(worker: Worker) -> None:
    queue = worker("a")
    queue.enqueue([encode_task(0), encode_task(1)])
    for attempt in (1, 2, 3):
        assert leased(queue).fail(f"boom {attempt}")
    assert leased(queue).task.shard == 1
    [letter] = queue.dead_letters
    assert letter.task_id == "demo/100/passages/0"
    assert (letter.error, letter.attempts, letter.last_worker) == ("boom 3", 3, "a")
    assert queue.outstanding() == {"demo/100/passages/1"}


def test_a_task_that_kills_its_workers_becomes_a_dead_letter(worker: Worker) -> None:
    worker("coordinator").enqueue([encode_task(0)])
    for attempt in (1, 2, 3):
        assert leased(worker(f"pod-{attempt}"), 2).attempt == attempt
    survivor = worker("survivor")
    assert survivor.take(2 * LEASE_SECONDS) is None
    [letter] = survivor.dead_letters
    assert (letter.error, letter.attempts, letter.last_worker) == (WORKER_DIED, 3, "pod-3")


def test_a_dead_letter_of_a_killer_shows_the_last_reported_error(worker: Worker) -> None:
    queue = worker("a")
    queue.enqueue([encode_task(0)])
    leased(queue).fail("boom")
    for _ in range(2):
        leased(queue, 2)
    assert queue.take(2 * LEASE_SECONDS) is None
    assert [letter.error for letter in queue.dead_letters] == ["boom"]


def test_a_heartbeat_notices_that_the_step_was_superseded(worker: Worker) -> None:
    queue = worker("a")
    queue.enqueue([encode_task(0, step=100)])
    with leased(queue) as lease:
        queue.drop_other_steps(200)
        assert lease.cancelled.wait(2)
        assert lease.interrupted
        assert not lease.lost.is_set()
        assert lease.discard()
    assert queue.outstanding() == set()
    assert queue.completions() == []


def test_a_short_outage_is_no_verdict_on_a_lease(mortal_redis: LocalRedis, mortal_client: Redis) -> None:
    queue = TaskQueue(mortal_client, "demo", "a", lease_seconds=2)
    queue.enqueue([encode_task(0)])
    with leased(queue) as lease:
        mortal_redis.stop()
        assert not lease.lost.wait(1)
        mortal_redis.start()
        # It came back empty: now the lease is known to be gone.
        assert lease.lost.wait(2)


def test_a_lease_that_could_not_be_renewed_in_time_is_lost(mortal_redis: LocalRedis, mortal_client: Redis) -> None:
    queue = TaskQueue(mortal_client, "demo", "a", lease_seconds=0.6)
    queue.enqueue([encode_task(0)])
    with leased(queue) as lease:
        mortal_redis.stop()
        stopped = time.monotonic()
        assert lease.lost.wait(2)
        assert time.monotonic() - stopped < 0.7


def test_settling_does_not_raise_while_redis_is_away(mortal_redis: LocalRedis, mortal_client: Redis) -> None:
    queue = TaskQueue(mortal_client, "demo", "a", max_deliveries=1)
    queue.enqueue([encode_task(0)])
    lease = leased(queue)
    mortal_redis.stop()
    assert not lease.done({})
    assert not lease.fail("boom")


def test_a_lease_is_lost_by_its_heartbeat_and_not_by_a_slow_start(worker: Worker) -> None:
    queue = worker("a")
    queue.enqueue([encode_task(0)])
    lease = leased(queue)
    time.sleep(1.5 * LEASE_SECONDS)
    with lease:
        assert wait_until(lease.renew)
        assert not lease.lost.is_set()
