"""Leaders, one after the other."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from redis import Redis

from ance.errors import AnceError
from ance.runtime.artifacts import published, read_manifest
from ance.runtime.contracts import ArtifactRef, Part
from ance.runtime.feed import CheckpointWatcher
from ance.runtime.layout import Pointer, manifest_of
from ance.runtime.lease import RunLease
from ance.runtime.redis.lease import RedisLease
from ance.runtime.run_history import best_step, refresh_records
from ance.runtime.shutdown import Shutdown
from services.indexer.best import point_to_best
from services.indexer.collector import DeadTask
from services.indexer.loop import Indexer
from tests.services.conftest import NewRun
from tests.services.indexer.passes import Pass, checkpoint, ids_of
from tests.services.service_run import background, wait_until
from tests.system.tiny import DEV, PASSAGES, TRAIN


@contextmanager
def indexer(under_way: Pass, **options: Any) -> Iterator[Indexer]:
    """An indexer with a watcher that looks at the store often."""
    run = under_way.run
    pointer = run.layout.pointer("checkpoint")
    watcher = CheckpointWatcher("", run.config.run, lambda: run.store.read_pointer(pointer), poll_seconds=0.01)
    with watcher:
        yield Indexer(
            run.config,
            run.store,
            run.layout,
            under_way.queue,
            under_way.lease,
            watcher,
            under_way.refresh,
            under_way.metrics,
            under_way.shutdown,
            **options,
        )


def announce(under_way: Pass, step: int, *, final: bool = False) -> ArtifactRef:
    ref = checkpoint(under_way.run, step, final=final)
    under_way.run.store.move_pointer(under_way.run.layout.pointer("checkpoint"), ref)
    return ref


def pointed(under_way: Pass, name: Pointer) -> ArtifactRef:
    ref = under_way.run.store.read_pointer(under_way.run.layout.pointer(name))
    assert ref is not None
    return ref


def test_the_run_ends_with_the_version_of_its_last_checkpoint(under_way: Pass) -> None:
    announce(under_way, 80, final=True)
    with indexer(under_way) as leader, under_way.worker.working():
        leader.run()
    assert pointed(under_way, "index").final and pointed(under_way, "negatives").final
    layout, store = under_way.run.layout, under_way.run.store
    record = json.loads(store.read(layout.refresh_record(80)))
    assert record["rows"] == {"train_queries": TRAIN, "dev_queries": DEV, "passages": PASSAGES}
    assert record["dev"]["R@1000"] == 1.0
    files = [entry.path for entry in read_manifest(store, manifest_of(layout.embeddings(80))).files]
    assert sorted(files) == sorted(f"{task.part}/{task.shard}.npy" for task in under_way.tasks(80))
    phases = ("encode", "merge", "negatives")
    sample = under_way.metrics.registry.get_sample_value
    seconds = [sample("ance_indexer_phase_seconds", {"phase": phase}) for phase in phases]
    assert sum(value for value in seconds if value is not None) == pytest.approx(record["refresh_seconds"], abs=0.01)
    assert sample("ance_indexer_leader") == 0


def test_warm_up_checkpoints_start_no_refresh(under_way: Pass) -> None:
    announce(under_way, 15)
    with indexer(under_way) as leader, background(leader.run, stop=under_way.shutdown.request):
        wait_until(lambda: leader.watcher.newest is not None)
        announce(under_way, 20)  # ends the warm-up
        wait_until(lambda: bool(under_way.queue.outstanding()))
    assert {task_id.split("/")[1] for task_id in under_way.queue.outstanding()} == {"20"}


def test_refreshes_from_the_start_measure_and_serve_the_warm_up_and_mine_nothing_before_its_end(
    new_run: NewRun, client: Redis, shutdown: Shutdown
) -> None:
    run = new_run(training={"refresh_from": "start"})
    passes = Pass(run, client, shutdown)
    announce(passes, 0)
    with indexer(passes) as leader, passes.worker.working(), background(leader.run, stop=lambda: None):
        for step in (0, 15, 20):
            announce(passes, step)
            wait_until(lambda step=step: published(run.store, run.layout.index(step)) is not None)
        announce(passes, 80, final=True)
    records = {record["step"]: record for record in refresh_records(run.store, run.layout)}
    assert list(records) == [0, 15, 20, 80]
    assert [records[step]["rows"]["train_queries"] for step in records] == [0, 0, TRAIN, TRAIN]
    assert all("RR@10" in record["dev"] for record in records.values())
    mined = [step for step in records if published(run.store, run.layout.negatives(step)) is not None]
    assert mined == [20, 80]


def test_static_negatives_are_those_of_the_first_pass_and_the_last_checkpoint_ends_the_run(
    new_run: NewRun, client: Redis, shutdown: Shutdown
) -> None:
    run = new_run(training={"refresh": "static", "max_async_gap": 0})
    once = Pass(run, client, shutdown)
    announce(once, 20)
    with indexer(once) as leader, once.worker.working(), background(leader.run, stop=lambda: None):
        wait_until(lambda: published(run.store, run.layout.index(20)) is not None)
        announce(once, 25)
        wait_until(lambda: leader.watcher.newest is not None and leader.watcher.newest.step == 25)
        announce(once, 80, final=True)
    assert pointed(once, "index").step == 80
    assert {task_id.split("/")[1] for task_id in once.worker.handled} == {"20", "80"}


def test_where_training_waits_for_every_refresh_a_checkpoint_saved_on_shutdown_starts_none(
    new_run: NewRun, client: Redis, shutdown: Shutdown
) -> None:
    """Or the resumed run would train on negatives that an undisturbed one never has."""
    run = new_run(training={"synchronous": True, "max_async_gap": 0})
    passes = Pass(run, client, shutdown)
    with indexer(passes) as leader, passes.worker.working(), background(leader.run, stop=lambda: None):
        announce(passes, 20)
        wait_until(lambda: published(run.store, run.layout.index(20)) is not None)
        announce(passes, 23)
        wait_until(lambda: leader.watcher.newest is not None and leader.watcher.newest.step == 23)
        time.sleep(0.3)  # enough to begin with it
        announce(passes, 25)  # due, every 5 steps
        wait_until(lambda: published(run.store, run.layout.index(25)) is not None)
        announce(passes, 28, final=True)  # as early stopping ends a run
    assert pointed(passes, "index").step == 28
    assert {task_id.split("/")[1] for task_id in passes.worker.handled} == {"20", "25", "28"}


def test_a_new_leader_continues_the_recorded_pass_and_only_missing_shards_are_encoded_again(
    new_run: NewRun, client: Redis, shutdown: Shutdown
) -> None:
    run = new_run()
    with Shutdown(signals=()) as stop:
        first = Pass(run, client, stop)
        announce(first, 20)
        with indexer(first) as leader, background(leader.run, stop=stop.request):
            first.worker.work(6)
    done = set(first.worker.handled)
    assert published(run.store, run.layout.index(20)) is None

    second = Pass(run, client, shutdown)
    announce(second, 80, final=True)
    with indexer(second) as leader, second.worker.working():
        leader.run()
    assert pointed(second, "index").step == 80
    assert published(run.store, run.layout.index(20)) is not None, "the pass of the first leader was finished"
    again = [task_id for task_id in second.worker.handled if task_id in set(ids_of(second.tasks(20)))]
    assert sorted(again) == sorted(set(ids_of(second.tasks(20))) - done)
    assert second.worker.handled[: len(again)] == again, "the older pass comes first"


def test_a_leader_of_a_flushed_redis_leads_under_a_higher_token(
    new_run: NewRun, client: Redis, shutdown: Shutdown
) -> None:
    run = new_run()
    with Shutdown(signals=()) as stop:
        first = Pass(run, client, stop)
        announce(first, 20)
        with indexer(first) as leader, first.worker.working(), background(leader.run, stop=stop.request):
            wait_until(lambda: published(run.store, run.layout.index(20)) is not None)
    before = pointed(first, "index").fencing_token
    client.flushall()
    second = Pass(run, client, shutdown)
    announce(second, 80, final=True)
    with indexer(second) as leader, second.worker.working():
        leader.run()
    assert pointed(second, "index").fencing_token > before


def test_operators_are_told_when_a_refresh_starts_and_when_it_is_published_or_given_up(under_way: Pass) -> None:
    told: list[str] = []
    announce(under_way, 20)
    with (
        indexer(under_way, announce=lambda reason, note: told.append(f"{reason}: {note}")) as leader,
        under_way.worker.working(),
        pytest.raises(DeadTask),
        background(leader.run, stop=lambda: None),
    ):
        wait_until(lambda: published(under_way.run.store, under_way.run.layout.index(20)) is not None)
        under_way.worker.poison |= set(ids_of(under_way.tasks(25))[:1])
        announce(under_way, 25)
    assert told[:3] == [
        "RefreshStarted: refresh with the checkpoint of step 20",
        "IndexPublished: index and negatives of step 20",
        "RefreshStarted: refresh with the checkpoint of step 25",
    ]
    assert told[3].startswith("RefreshAborted: refresh with the checkpoint of step 25: task ")
    assert "the disk is on fire" in told[3] and len(told) == 4


def test_a_pass_with_a_dead_task_stays_open_until_its_letter_is_requeued(under_way: Pass) -> None:
    (dead,) = ids_of(under_way.tasks(20), Part.DEV_QUERIES)
    under_way.worker.poison = {dead}
    told: list[str] = []
    announce(under_way, 20)
    index = under_way.run.layout.index(20)
    with (
        indexer(under_way, on_dead_letter="go_on", announce=lambda reason, _: told.append(reason)) as leader,
        under_way.worker.working(),
        background(leader.run, stop=under_way.shutdown.request),
    ):
        wait_until(lambda: "RefreshAborted" in told)
        assert [letter.task_id for letter in under_way.queue.dead_letters] == [dead]
        assert published(under_way.run.store, index) is None
        under_way.worker.poison.clear()
        assert under_way.queue.dead_letters.requeue() == [dead]
        wait_until(lambda: published(under_way.run.store, index) is not None)
    assert sorted(under_way.worker.handled) == sorted(ids_of(under_way.tasks(20))), "nothing was encoded twice"
    assert told == ["RefreshStarted", "RefreshAborted", "RefreshStarted", "IndexPublished"]


def test_a_newer_checkpoint_takes_the_place_of_a_pass_with_a_dead_task(under_way: Pass) -> None:
    store, layout = under_way.run.store, under_way.run.layout
    under_way.worker.poison = set(ids_of(under_way.tasks(20))[:1])
    aborted: list[str] = []

    def listen(reason: str, note: str) -> None:
        aborted.extend([note] if reason == "RefreshAborted" else [])

    announce(under_way, 20)
    with (
        indexer(under_way, on_dead_letter="go_on", announce=listen) as leader,
        under_way.worker.working(),
        background(leader.run, stop=lambda: None),
    ):
        wait_until(lambda: bool(aborted))
        announce(under_way, 80, final=True)
    assert pointed(under_way, "index").step == 80
    assert published(store, layout.index(20)) is published(store, layout.negatives(20)) is None, "no version has holes"
    assert len(aborted) == 1


def test_the_pass_of_the_last_checkpoint_stops_at_a_dead_task_whatever_the_policy(under_way: Pass) -> None:
    under_way.worker.poison = set(ids_of(under_way.tasks(80))[:1])
    announce(under_way, 80, final=True)
    with (
        indexer(under_way, on_dead_letter="go_on") as leader,
        under_way.worker.working(),
        pytest.raises(DeadTask, match=r"the disk is on fire.*mend the cause"),
    ):
        leader.run()


def test_a_stand_by_leads_nothing_and_leaves_on_shutdown(under_way: Pass) -> None:
    active = RunLease(RedisLease(under_way.client, f"{under_way.run.config.run}/indexer", "active"))
    active.acquire()
    announce(under_way, 20)
    try:
        with indexer(under_way) as stand_by, background(stand_by.run, stop=under_way.shutdown.request):
            wait_until(lambda: stand_by.watcher.newest is not None)
    finally:
        active.release()
    assert not under_way.queue.outstanding()


def test_negatives_are_not_mined_for_a_run_that_does_not_train_on_them(
    new_run: NewRun, client: Redis, shutdown: Shutdown
) -> None:
    ance = {"steps": 60, "learning_rate": 1e-3, "negatives": "random"}
    under_way = Pass(new_run(training={"ance": ance}), client, shutdown)
    announce(under_way, 80, final=True)
    with indexer(under_way) as leader, under_way.worker.working():
        leader.run()
    assert not ids_of(under_way.tasks(80), Part.TRAIN_QUERIES)
    assert under_way.run.store.read_pointer(under_way.run.layout.pointer("negatives")) is None


def test_the_version_that_is_best_on_dev_stays_named_and_kept(
    new_run: NewRun, client: Redis, shutdown: Shutdown
) -> None:
    run = new_run(retention={"keep": 1}, evaluation={"best_by": "nDCG@10"})
    passes = Pass(run, client, shutdown)
    with indexer(passes) as leader, passes.worker.working(), background(leader.run, stop=lambda: None):
        for step in (20, 25, 30, 80):
            announce(passes, step, final=step == 80)
            wait_until(lambda step=step: published(run.store, run.layout.index(step)) is not None)
    dev = {record["step"]: record["dev"]["nDCG@10"] for record in refresh_records(run.store, run.layout)}
    best = max(dev, key=lambda step: dev[step])
    assert pointed(passes, "best").step == best_step(run.store, run.layout) == best
    assert passes.metrics.registry.get_sample_value("ance_indexer_best_step") == best


def test_a_leader_compares_what_its_predecessor_published_and_did_not_compare(
    new_run: NewRun, client: Redis, shutdown: Shutdown
) -> None:
    run = new_run()
    passes = Pass(run, client, shutdown)
    announce(passes, 80, final=True)
    with indexer(passes) as leader, passes.worker.working():
        leader.run()
    first = pointed(passes, "best")
    run.store.delete(run.layout.pointer("best"))
    run.store.write(run.layout.refresh_record(90), json.dumps({"step": 90, "dev": {}}).encode())
    assert point_to_best(run.store, run.layout, "RR@10") == 80
    assert pointed(passes, "best") == first


def test_a_run_without_a_dev_split_has_no_best_version(new_run: NewRun) -> None:
    run = new_run()
    run.store.write(run.layout.refresh_record(20), json.dumps({"step": 20, "dev": {}}).encode())
    assert point_to_best(run.store, run.layout, "RR@10") is None
    with pytest.raises(AnceError, match=f"run '{run.config.run}' has no version that was measured"):
        best_step(run.store, run.layout)
