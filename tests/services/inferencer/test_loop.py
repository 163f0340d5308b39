"""One inferencer and the real queue: every way in which a task can end."""

from __future__ import annotations

import hashlib
import io
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pytest
from numpy.typing import NDArray
from redis import Redis

from ance.model.encoding import TextEncoder
from ance.runtime.contracts import ArtifactRef, EncodeTask, Part
from ance.runtime.holds import VersionHold
from ance.runtime.metrics import InferencerMetrics
from ance.runtime.queue import TaskQueue
from ance.runtime.shutdown import Shutdown
from services.inferencer import loop
from services.inferencer.encoders import Encoders
from services.inferencer.loop import Inferencer, npy_bytes
from services.inferencer.scoring import PairScorer
from tests.services.conftest import NewRun
from tests.services.service_run import ServiceRun, background, wait_until

LEASE_SECONDS = 0.6
MAX_DELIVERIES = 2


class ObservedEncoders(Encoders):
    """Calls back when a task has got its encoder, before its first batch."""

    before_encoding: Callable[[], None] = staticmethod(lambda: None)

    def get(self, manifest_uri: str, manifest_sha256: str) -> TextEncoder:
        encoder = super().get(manifest_uri, manifest_sha256)
        self.before_encoding()
        return encoder


@dataclass
class Bench:
    """An inferencer, its queue, and what a coordinator sees of them."""

    run: ServiceRun
    client: Redis
    shutdown: Shutdown
    metrics: InferencerMetrics = field(default_factory=InferencerMetrics)

    def __post_init__(self) -> None:
        self.queue = self.as_worker("coordinator")
        hold = VersionHold(self.run.store, self.run.layout, "test")
        self.encoders = ObservedEncoders(
            self.run.store, hold, self.run.cache, self.run.config.encoding, "cpu", self.metrics
        )
        self.inferencer = Inferencer(
            self.run.config,
            self.run.dataset,
            self.run.store,
            self.as_worker("inferencer"),
            self.encoders,
            PairScorer(self.run.dataset, self.run.store, self.run.cache, self.run.config.encoding, "cpu"),
            self.metrics,
            self.shutdown,
        )

    def as_worker(self, name: str) -> TaskQueue:
        return TaskQueue(
            self.client, self.run.config.run, name, lease_seconds=LEASE_SECONDS, max_deliveries=MAX_DELIVERIES
        )

    def task(self, checkpoint: ArtifactRef, part: Part = Part.PASSAGES, stop: int = 40) -> EncodeTask:
        return EncodeTask(
            run_id=self.run.config.run,
            step=checkpoint.step,
            part=part,
            shard=0,
            start=10,
            stop=stop,
            checkpoint_uri=checkpoint.manifest_uri,
            checkpoint_sha256=checkpoint.manifest_sha256,
            output_uri=self.run.layout.shard(checkpoint.step, part, 0),
        )

    def work_off(self, *tasks: EncodeTask) -> None:
        """Enqueue the tasks and let the inferencer work until none is outstanding."""
        self.queue.enqueue(tasks)
        with background(self.inferencer.run, stop=self.shutdown.request):
            wait_until(lambda: not self.queue.outstanding())

    def vectors(self, task: EncodeTask) -> NDArray[np.float32]:
        loaded: NDArray[np.float32] = np.load(io.BytesIO(self.run.store.read(task.output_uri)))
        return loaded

    def ended(self, how: str) -> float | None:
        return self.metrics.registry.get_sample_value("ance_inferencer_tasks_total", {"result": how})


@pytest.fixture
def bench(new_run: NewRun, client: Redis, shutdown: Shutdown, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setattr(loop, "BLOCK_SECONDS", 0.05)
    return Bench(new_run(), client, shutdown)


def test_each_task_is_encoded_with_exactly_the_checkpoint_that_it_names(bench: Bench) -> None:
    older, newer = bench.run.publish_checkpoint(1), bench.run.publish_checkpoint(2)
    tasks = [bench.task(checkpoint) for checkpoint in (newer, older)]
    bench.work_off(*tasks)
    tokens = bench.run.dataset.passages.tokens
    expected = [bench.run.encoder(checkpoint).encode_rows(tokens, 10, 40, 16) for checkpoint in (newer, older)]
    for task, vectors in zip(tasks, expected, strict=True):
        np.testing.assert_array_equal(bench.vectors(task), vectors)
    assert not np.allclose(expected[0], expected[1])


@pytest.mark.parametrize(
    ("part", "split"), [(Part.TRAIN_QUERIES, "train"), (Part.DEV_QUERIES, "dev")], ids=["train", "dev"]
)
def test_queries_are_cut_to_the_length_of_queries(bench: Bench, part: Part, split: str) -> None:
    checkpoint = bench.run.publish_checkpoint(1)
    task = bench.task(checkpoint, part, stop=20)
    bench.work_off(task)
    expected = bench.run.encoder(checkpoint).encode_rows(bench.run.dataset.queries(split).tokens, 10, 20, 8)
    np.testing.assert_array_equal(bench.vectors(task), expected)


def test_a_task_done_is_reported_with_the_hash_of_what_is_stored(bench: Bench) -> None:
    task = bench.task(bench.run.publish_checkpoint(1))
    bench.work_off(task)
    (record,) = bench.queue.completions()
    data = bench.run.store.read(task.output_uri)
    assert (record.task_id, record.worker) == (task.id, "inferencer")
    assert (record.result["size"], record.result["sha256"]) == (str(len(data)), hashlib.sha256(data).hexdigest())
    assert bench.ended("done") == 1


def test_an_output_that_is_already_there_is_reported_and_not_encoded_again(bench: Bench) -> None:
    task = bench.task(bench.run.publish_checkpoint(1))
    there = npy_bytes(np.full((30, 32), 7, np.float32))
    bench.run.store.write(task.output_uri, there)
    bench.work_off(task)
    (record,) = bench.queue.completions()
    assert record.result["sha256"] == hashlib.sha256(there).hexdigest()
    assert bench.run.store.read(task.output_uri) == there
    assert bench.metrics.registry.get_sample_value("ance_inferencer_checkpoint_load_seconds_count") == 0


def test_the_output_of_a_faster_worker_stands(bench: Bench) -> None:
    task = bench.task(bench.run.publish_checkpoint(1))
    faster = npy_bytes(np.full((30, 32), 7, np.float32))
    bench.encoders.before_encoding = lambda: bench.run.store.write(task.output_uri, faster)
    bench.work_off(task)
    (record,) = bench.queue.completions()
    assert record.result["sha256"] == hashlib.sha256(faster).hexdigest()
    assert bench.run.store.read(task.output_uri) == faster


def test_on_shutdown_the_task_in_hand_goes_back_at_once_and_uncounted(bench: Bench) -> None:
    task = bench.task(bench.run.publish_checkpoint(1))
    bench.encoders.before_encoding = bench.shutdown.request
    bench.queue.enqueue([task])
    bench.inferencer.run()
    assert bench.ended("handed_back") == 1
    assert not bench.run.store.exists(task.output_uri)
    lease = bench.as_worker("next").take(0)
    assert lease is not None and lease.task == task
    assert lease.attempt == 1


def test_a_task_whose_pass_was_superseded_is_discarded(bench: Bench) -> None:
    task = bench.task(bench.run.publish_checkpoint(1))

    def supersede() -> None:
        bench.queue.drop_other_steps(2)
        time.sleep(LEASE_SECONDS)  # a renewal, every third of that, tells the worker

    bench.encoders.before_encoding = supersede
    bench.work_off(task)
    assert not bench.run.store.exists(task.output_uri)
    assert not bench.queue.completions()
    assert len(bench.queue.dead_letters) == 0


def test_a_worker_that_lost_its_lease_leaves_the_task_to_the_other(bench: Bench) -> None:
    task = bench.task(bench.run.publish_checkpoint(1))
    other = TaskQueue(bench.client, bench.run.config.run, "other", lease_seconds=0.001)

    def steal() -> None:
        lease = None
        while lease is None:
            lease = other.take(0.01)
        time.sleep(LEASE_SECONDS)
        bench.shutdown.request()

    bench.encoders.before_encoding = steal
    bench.queue.enqueue([task])
    bench.inferencer.run()
    assert bench.ended("lost") == 1
    assert bench.queue.outstanding() == {task.id}


def test_a_task_that_always_fails_ends_among_the_dead_letters_with_its_error(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    checkpoint = bench.run.publish_checkpoint(1)
    broken = bench.task(checkpoint).model_copy(update={"checkpoint_sha256": "0" * 64})
    bench.work_off(broken)
    (letter,) = bench.queue.dead_letters
    assert (letter.task_id, letter.attempts) == (broken.id, MAX_DELIVERIES)
    assert "CorruptArtifact" in letter.error and checkpoint.manifest_uri in letter.error
    assert bench.ended("failed") == MAX_DELIVERIES


def test_an_inferencer_that_goes_is_no_longer_listed(bench: Bench) -> None:
    bench.work_off(bench.task(bench.run.publish_checkpoint(1)))
    listed = bench.client.xinfo_consumers(bench.queue.keys.passages, "inferencers")
    assert not [consumer for consumer in listed if consumer["name"] == "inferencer"]
