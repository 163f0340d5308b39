"""The coordinator's side of the queue, and what a worker is given."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable

import pytest
from redis import Redis

from ance.runtime.contracts import Part
from ance.runtime.queue import TaskQueue
from ance.runtime.queue.keys import GROUP
from ance.runtime.redis.client import connect
from ance.runtime.redis.local_server import LocalRedis
from tests.runtime.conftest import LEASE_SECONDS, encode_task, score_task, wait_until

Worker = Callable[[str], TaskQueue]


def test_a_task_arrives_as_it_was_enqueued(worker: Worker) -> None:
    queue = worker("a")
    assert queue.enqueue([encode_task(7)]) == ["demo/100/passages/7"]
    lease = queue.take(0)
    assert lease is not None
    assert lease.task == encode_task(7)
    assert lease.attempt == 1


def test_an_entry_is_under_a_kilobyte_of_strings(worker: Worker, client: Redis) -> None:
    queue = worker("a")
    queue.enqueue([encode_task(7)])
    [(_, fields)] = client.xrange(queue.keys.passages)
    assert fields["v"] == "1"
    assert len(json.dumps(fields)) < 1024


def test_all_keys_of_a_run_share_its_hash_tag(worker: Worker, client: Redis) -> None:
    queue = worker("a")
    queue.enqueue([encode_task(0), encode_task(1)])
    queue.drop_other_steps(100)
    for _ in range(2):
        lease = queue.take(0)
        assert lease is not None
        lease.done({}) if lease.task.shard else lease.fail("boom")
    assert client.keys("*")
    assert all("{demo}" in key for key in client.keys("*"))


def test_queries_are_served_before_passages_enqueued_earlier(worker: Worker) -> None:
    queue = worker("a")
    queue.enqueue([encode_task(0), encode_task(1)])
    queue.enqueue([encode_task(0, Part.DEV_QUERIES), encode_task(0, Part.TRAIN_QUERIES)])
    leases = [queue.take(0) for _ in range(4)]
    parts = [lease.task.part for lease in leases if lease]
    assert parts == ["dev_queries", "train_queries", "passages", "passages"]


def test_tasks_enqueued_before_the_first_worker_are_delivered(worker: Worker) -> None:
    worker("coordinator").enqueue([encode_task(0)])
    assert worker("late").take(0) is not None


def test_take_waits_for_a_task(worker: Worker) -> None:
    queue = worker("a")
    timer = threading.Timer(0.1, queue.enqueue, [[encode_task(0)]])
    timer.start()
    lease = queue.take(5)
    timer.join()
    assert lease is not None


def test_take_returns_none_when_nothing_came(worker: Worker) -> None:
    started = time.monotonic()
    assert worker("a").take(0.2) is None
    assert 0.15 < time.monotonic() - started < 1


def test_an_outstanding_task_is_not_enqueued_twice(worker: Worker) -> None:
    queue = worker("a")
    tasks = [encode_task(0), encode_task(1)]
    queue.enqueue(tasks)
    queue.take(0)
    assert queue.enqueue([*tasks, encode_task(2)]) == ["demo/100/passages/2"]
    assert queue.outstanding() == {f"demo/100/passages/{shard}" for shard in range(3)}


def test_a_finished_task_is_no_longer_outstanding_and_may_come_again(worker: Worker, client: Redis) -> None:
    queue = worker("a")
    queue.enqueue([encode_task(0)])
    lease = queue.take(0)
    assert lease is not None
    assert lease.done({})
    assert queue.outstanding() == set()
    assert client.xlen(queue.keys.passages) == 0
    assert queue.enqueue([encode_task(0)])


def test_racing_coordinators_enqueue_each_task_once(worker: Worker, redis_server: LocalRedis) -> None:
    tasks = [encode_task(shard) for shard in range(200)]
    added: list[str] = []

    def enqueue() -> None:
        with connect(redis_server.url) as redis:
            coordinator = TaskQueue(redis, "demo", "coordinator")
            for start in range(0, len(tasks), 10):
                added.extend(coordinator.enqueue(tasks[start : start + 10]))

    threads = [threading.Thread(target=enqueue) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(added) == sorted(task.id for task in tasks)
    assert worker("a").counts().waiting == 200


def test_a_stream_deleted_by_hand_does_not_block_its_tasks(worker: Worker, client: Redis) -> None:
    queue = worker("a")
    queue.enqueue([encode_task(0)])
    client.delete(queue.keys.passages)
    assert queue.enqueue([encode_task(0)])
    assert queue.take(0) is not None


def test_completions_carry_the_task_and_its_result_in_order(worker: Worker) -> None:
    queue = worker("pod-1")
    queue.enqueue([encode_task(0), encode_task(1)])
    for _ in range(2):
        lease = queue.take(0)
        assert lease is not None
        lease.done({"rows": "10", "sha256": "ab"})
    first, second = queue.completions()
    assert first.task_id == "demo/100/passages/0"
    assert (first.step, first.part, first.shard) == (100, Part.PASSAGES, 0)
    assert first.worker == "pod-1"
    assert first.result == {"rows": "10", "sha256": "ab"}
    assert queue.completions(first.id) == [second]
    assert queue.completions(second.id) == []


def test_completions_waits_for_the_next_record(worker: Worker) -> None:
    queue = worker("a")
    queue.enqueue([encode_task(0)])
    lease = queue.take(0)
    assert lease is not None
    timer = threading.Timer(0.1, lease.done, [{}])
    timer.start()
    assert [record.shard for record in queue.completions(block_seconds=5)] == [0]
    timer.join()


def test_counts_tell_waiting_pending_age_and_dead(worker: Worker) -> None:
    queue = worker("a")
    assert queue.counts().oldest_age_seconds == 0
    queue.enqueue([encode_task(shard) for shard in range(3)])
    queue.take(0)
    time.sleep(0.05)
    counts = queue.counts()
    assert (counts.waiting, counts.pending, counts.dead) == (2, 1, 0)
    assert 0.05 <= counts.oldest_age_seconds < 5


def test_a_new_pass_removes_waiting_tasks_of_other_steps(worker: Worker) -> None:
    queue = worker("a")
    queue.enqueue([encode_task(0, step=100), encode_task(1, step=100), encode_task(0, step=200)])
    assert queue.take(0) is not None
    assert queue.drop_other_steps(200) == 1
    assert queue.outstanding() == {"demo/100/passages/0", "demo/200/passages/0"}
    assert queue.cancelled(100)
    assert not queue.cancelled(200)


def test_a_leased_task_of_a_superseded_step_is_never_delivered_again(worker: Worker) -> None:
    queue = worker("a")
    queue.enqueue([encode_task(0, step=100)])
    lease = queue.take(0)
    assert lease is not None
    queue.drop_other_steps(200)
    lease.hand_back()
    assert worker("b").take(0) is None
    assert queue.outstanding() == set()


def test_no_step_is_cancelled_before_the_first_pass(worker: Worker) -> None:
    assert not worker("a").cancelled(100)


def test_an_entry_that_cannot_be_read_becomes_a_dead_letter(worker: Worker, client: Redis) -> None:
    queue = worker("a")
    client.xadd(queue.keys.passages, {"v": "9", "id": "future"})
    client.xadd(queue.keys.passages, {"v": "1", "id": "broken", "task": "{}"})
    assert queue.take(0) is None
    future, broken = sorted(queue.dead_letters, key=lambda letter: letter.task_id, reverse=True)
    assert "version '9'" in future.error
    assert "'run_id' is missing" in broken.error
    assert queue.counts().pending == 0


def test_a_pending_entry_deleted_by_hand_is_skipped(worker: Worker, client: Redis) -> None:
    queue = worker("a")
    queue.enqueue([encode_task(0), encode_task(1)])
    first, second = queue.take(0), queue.take(0)
    assert first is not None
    assert second is not None
    first.hand_back()
    second.hand_back()
    [(entry_id, _), _] = client.xrange(queue.keys.passages)
    client.xdel(queue.keys.passages, entry_id)
    again = worker("b").take(0)
    assert again is not None
    assert again.task.shard == 1
    assert queue.counts().pending == 1


def test_an_abandoned_task_is_found_behind_many_live_ones(worker: Worker) -> None:
    queue = worker("a")
    queue.enqueue([encode_task(shard) for shard in range(40)])
    leases = [queue.take(0) for _ in range(40)]
    last = leases[-1]
    assert last is not None
    last.hand_back()
    again = worker("b").take(0)
    assert again is not None
    assert again.task.shard == 39


def test_leaving_forgets_an_idle_worker_but_never_its_tasks(worker: Worker, client: Redis) -> None:
    busy, idle = worker("busy"), worker("idle")
    busy.enqueue([encode_task(0)])
    busy.take(0)
    idle.take(0)
    busy.leave()
    idle.leave()
    assert [consumer["name"] for consumer in client.xinfo_consumers(busy.keys.passages, GROUP)] == ["busy"]
    time.sleep(LEASE_SECONDS)
    assert worker("other").take(0) is not None


def test_enqueueing_what_is_missing_makes_a_flushed_queue_whole(worker: Worker, client: Redis) -> None:
    queue = worker("a")
    tasks = [encode_task(shard) for shard in range(4)]
    queue.enqueue(tasks)
    finished = queue.take(0)
    assert finished is not None
    finished.done({})
    running = queue.take(0)
    assert running is not None
    client.flushall()
    assert queue.take(0) is None
    assert queue.counts().waiting == 0
    missing = [task for task in tasks if task != finished.task and task.id not in queue.outstanding()]
    assert len(queue.enqueue(missing)) == 3
    assert queue.enqueue(missing) == []
    assert not running.renew()
    assert {lease.task.shard for lease in iter(lambda: queue.take(0), None)} == {1, 2, 3}


def test_a_worker_blocked_in_take_survives_a_flush(worker: Worker, client: Redis) -> None:
    queue = worker("a")
    timers = [
        threading.Timer(0.1, client.flushall),
        threading.Timer(0.15, queue.enqueue, [[encode_task(0)]]),
    ]
    for timer in timers:
        timer.start()
    lease = queue.take(5)
    for timer in timers:
        timer.join()
    assert lease is not None


def test_take_survives_a_restart_of_redis(mortal_redis: LocalRedis, mortal_client: Redis) -> None:
    queue = TaskQueue(mortal_client, "demo", "a", lease_seconds=LEASE_SECONDS)
    queue.enqueue([encode_task(0)])
    mortal_redis.stop()
    assert queue.take(0) is None
    mortal_redis.start()
    assert queue.take(0) is None
    assert queue.enqueue([encode_task(0)])
    assert queue.take(1) is not None


def test_an_outage_is_logged_once(
    mortal_redis: LocalRedis, mortal_client: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    queue = TaskQueue(mortal_client, "demo", "a", lease_seconds=LEASE_SECONDS)
    mortal_redis.stop()
    caplog.set_level("INFO")
    assert queue.take(0) is None
    assert queue.take(0) is None
    mortal_redis.start()
    assert wait_until(lambda: queue.take(0) is None)
    assert [record.message.partition(",")[0] for record in caplog.records if "redis" in record.message] == [
        "redis is unreachable",
        caplog.records[-1].message.partition(",")[0],
    ]
    assert "redis is back" in caplog.records[-1].message


def test_pairs_to_score_travel_as_encode_tasks_do_and_before_passages(worker: Worker) -> None:
    queue = worker("a")
    task = score_task(3)
    queue.enqueue([encode_task(0)])
    assert queue.enqueue([task, task]) == [task.id]
    lease = queue.take(0)
    assert lease is not None and lease.task == task
    lease.done({"size": "12"})
    (record,) = queue.completions()
    assert (record.task_id, record.part, record.shard) == (task.id, "pairs", 3)
    assert queue.outstanding() == {encode_task(0).id}


def test_a_dead_scoring_task_can_be_put_back(worker: Worker) -> None:
    queue = worker("a")
    queue.enqueue([score_task(0)])
    for _ in range(3):
        lease = queue.take(0)
        assert lease is not None
        lease.fail("no teacher")
    assert queue.take(0) is None
    assert queue.dead_letters.requeue() == [score_task(0).id]
    lease = queue.take(0)
    assert lease is not None and lease.task == score_task(0)


def test_a_task_of_an_unknown_kind_is_dead_and_says_what_this_worker_does(worker: Worker, client: Redis) -> None:
    queue = worker("a")
    queue.enqueue([score_task(0)])
    [(entry, fields)] = client.xrange(queue.keys.queries)
    client.xdel(queue.keys.queries, entry)
    client.xadd(queue.keys.queries, fields | {"task": fields["task"].replace('"score"', '"translate"')})
    assert queue.take(0) is None
    (letter,) = queue.dead_letters
    assert "a task of kind 'translate', this worker does: encode, score" in letter.error
