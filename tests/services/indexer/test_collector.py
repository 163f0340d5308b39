"""Every shard of a pass once, whatever happens to Redis, the workers or the leader."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from redis import Redis

from ance.errors import AnceError
from ance.runtime.redis.local_server import LocalRedis
from ance.runtime.shutdown import Shutdown
from services.indexer.collector import PassInterrupted
from services.indexer.shards import FinishedShard
from tests.services.conftest import NewRun
from tests.services.indexer.passes import MAX_DELIVERIES, Pass, ids_of, made_up


def assert_each_once(shards: list[FinishedShard], under_way: Pass) -> None:
    assert sorted(shard.task.id for shard in shards) == sorted(ids_of(under_way.tasks()))
    for shard in shards:
        np.testing.assert_array_equal(shard.vectors, made_up(shard.task))


def test_every_shard_comes_once_with_its_vectors_and_its_manifest_entry(under_way: Pass) -> None:
    with under_way.worker.working():
        shards = list(under_way.collector.collect(under_way.tasks()))
    assert_each_once(shards, under_way)
    for shard in shards:
        assert shard.entry.path == f"{shard.task.part}/{shard.task.shard}.npy"
        data = under_way.run.store.read(shard.task.output_uri)
        assert (shard.entry.size, shard.entry.sha256) == (len(data), hashlib.sha256(data).hexdigest())
    assert sorted(under_way.worker.handled) == sorted(ids_of(under_way.tasks()))
    assert under_way.metrics.registry.get_sample_value("ance_indexer_refresh_shards_done") == len(shards)


def test_shards_that_are_in_the_store_already_are_not_encoded_again(under_way: Pass) -> None:
    tasks = under_way.tasks()
    for task in tasks[::2]:
        under_way.worker.store(task)
    with under_way.worker.working():
        shards = list(under_way.collector.collect(tasks))
    assert_each_once(shards, under_way)
    assert sorted(under_way.worker.handled) == sorted(ids_of(tasks[1::2]))


def test_a_redis_that_is_flushed_in_the_middle_loses_no_shard_and_doubles_none(under_way: Pass) -> None:
    shards = under_way.collector.collect(under_way.tasks())
    under_way.queue.enqueue(under_way.tasks())
    under_way.worker.work(4)
    collected = [next(shards), next(shards)]
    under_way.client.flushall()  # with it go the records of two finished shards, and six tasks
    with under_way.worker.working():
        collected += shards
    assert_each_once(collected, under_way)


def test_a_flush_is_seen_at_once_however_rarely_queue_and_store_are_compared(
    new_run: NewRun, client: Redis, shutdown: Shutdown
) -> None:
    under_way = Pass(new_run(), client, shutdown, environment={"reconcile_seconds": 20.0})
    shards = under_way.collector.collect(under_way.tasks())
    under_way.worker.store(under_way.tasks()[0])
    collected = [next(shards)]  # which has enqueued the others
    client.flushall()
    started = time.monotonic()
    with under_way.worker.working():
        collected += shards
    assert_each_once(collected, under_way)
    assert time.monotonic() - started < 5


def test_the_store_is_asked_once_for_all_shards_and_then_for_each_only_to_read_it(
    under_way: Pass, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    for name in ("exists", "list", "read", "size"):
        genuine = getattr(under_way.run.store, name)

        def noted(key: str, name: str = name, genuine: Callable[[str], Any] = genuine) -> Any:
            asked.append(name)
            return genuine(key)

        monkeypatch.setattr(under_way.run.store, name, noted)
    for task in under_way.tasks():
        under_way.worker.store(task)
    shards = list(under_way.collector.collect(under_way.tasks()))
    assert asked == ["list", *["read"] * len(shards)]


def test_a_redis_that_dies_and_comes_back_empty_loses_no_shard_and_doubles_none(
    new_run: NewRun, mortal_redis: LocalRedis, mortal_client: Redis, shutdown: Shutdown
) -> None:
    under_way = Pass(new_run(), mortal_client, shutdown)
    shards = under_way.collector.collect(under_way.tasks())
    under_way.queue.enqueue(under_way.tasks())
    under_way.worker.work(4)
    collected = [next(shards), next(shards)]
    mortal_redis.stop()
    mortal_redis.start()
    with under_way.worker.working():
        collected += shards
    assert_each_once(collected, under_way)


def test_a_completion_without_vectors_costs_another_encoding(under_way: Pass) -> None:
    under_way.queue.enqueue(under_way.tasks())
    lease = under_way.as_worker("liar").take(0)
    assert lease is not None
    lease.done({})
    with under_way.worker.working():
        shards = list(under_way.collector.collect(under_way.tasks()))
    assert_each_once(shards, under_way)
    assert under_way.worker.handled.count(lease.task.id) == 1


def test_a_task_that_is_reported_twice_is_yielded_once(under_way: Pass) -> None:
    shards = under_way.collector.collect(under_way.tasks())
    under_way.queue.enqueue(under_way.tasks())
    under_way.worker.work(1)
    collected = [next(shards)]
    lease = under_way.as_worker("twice").take(1)
    assert lease is not None
    under_way.worker.store(lease.task)
    lease.done({})
    lease.done({})
    with under_way.worker.working():
        collected += shards
    assert_each_once(collected, under_way)


def test_shutdown_interrupts_the_pass_also_between_shards_that_are_there(under_way: Pass) -> None:
    for task in under_way.tasks():
        under_way.worker.store(task)
    shards = under_way.collector.collect(under_way.tasks())
    next(shards)
    under_way.shutdown.request()
    with pytest.raises(PassInterrupted, match="shutdown"):
        next(shards)


def test_a_leader_that_is_none_any_more_stops_collecting(under_way: Pass) -> None:
    under_way.lease.lost.set()
    with pytest.raises(PassInterrupted, match="lease"):
        next(under_way.collector.collect(under_way.tasks()))
    assert not under_way.queue.outstanding()


def test_a_dead_task_is_put_back_once_and_then_the_pass_is_given_up_with_its_error(
    under_way: Pass, caplog: pytest.LogCaptureFixture
) -> None:
    tasks = under_way.tasks()[:1]
    attempts = 0

    def fail() -> None:
        nonlocal attempts
        lease = under_way.worker.queue.take(0.02)
        if lease is not None:
            attempts += 1
            lease.fail("the disk is on fire")

    under_way.worker.work_one = lambda block_seconds: bool(fail())  # type: ignore[method-assign]
    with under_way.worker.working(), pytest.raises(AnceError, match=f"{tasks[0].id}.*the disk is on fire"):
        list(under_way.collector.collect(tasks))
    assert attempts == 2 * MAX_DELIVERIES


def test_a_dead_task_that_succeeds_when_it_is_put_back_is_forgiven(under_way: Pass) -> None:
    under_way.queue.enqueue(under_way.tasks())
    for _ in range(MAX_DELIVERIES):
        lease = under_way.as_worker("unlucky").take(1)
        assert lease is not None
        lease.fail("out of memory")
    assert len(under_way.queue.dead_letters) == 1
    with under_way.worker.working():
        shards = list(under_way.collector.collect(under_way.tasks()))
    assert_each_once(shards, under_way)
    assert len(under_way.queue.dead_letters) == 0


@pytest.mark.parametrize("data", [b"", b"junk"], ids=["empty", "junk"])
def test_a_file_that_holds_no_vectors_is_named_with_what_to_do(under_way: Pass, data: bytes) -> None:
    task = under_way.tasks()[0]
    under_way.run.store.write(task.output_uri, data)
    with pytest.raises(AnceError, match=f"{task.output_uri}: not a .npy file.*delete the file"):
        next(under_way.collector.collect([task]))


def test_half_a_shard_under_its_final_name_is_kept_by_put_if_absent_and_found(under_way: Pass) -> None:
    """As a store without atomic writes would leave it: a worker takes it for another's result, the leader does not."""
    task = under_way.tasks()[0]
    under_way.worker.store(task)
    whole = under_way.run.store.read(task.output_uri)
    under_way.run.store.write(task.output_uri, whole[: len(whole) // 2])
    under_way.worker.store(task)
    assert under_way.run.store.size(task.output_uri) == len(whole) // 2
    with pytest.raises(AnceError, match=f"{task.output_uri}: not a .npy file.*delete the file"):
        next(under_way.collector.collect([task]))


def test_a_shard_of_the_wrong_shape_is_refused(under_way: Pass) -> None:
    task, other = under_way.tasks()[0], under_way.tasks()[3]  # 40 and 24 rows
    under_way.worker.store(other)
    under_way.run.store.write(task.output_uri, under_way.run.store.read(other.output_uri))
    with pytest.raises(AnceError, match=r"expected 40 float32 rows, found float32 \(24, 8\)"):
        next(under_way.collector.collect([task]))
