"""A trainer that is told to stop leaves within its grace period, whatever it is doing."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from redis import Redis

from ance.runtime.lease import RunLease
from ance.runtime.redis.lease import RedisLease
from ance.runtime.shutdown import Shutdown
from services.trainer.checkpoints import Checkpoints
from services.trainer.loop import TrainingInterrupted
from services.trainer.negative_supply import NegativeSupply
from tests.services.conftest import NewRun
from tests.services.trainer.process import TrainerProcess
from tests.services.trainer.test_loop import newest, stage, training


@pytest.fixture
def release() -> Iterator[threading.Event]:
    """What hangs goes on when the test is over."""
    event = threading.Event()
    yield event
    event.set()


def test_a_last_checkpoint_that_takes_too_long_is_left_and_the_run_is_free_before_the_grace_ends(
    new_run: NewRun, client: Redis, shutdown: Shutdown, release: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = new_run(training=training(stage(6, "random"), stage(0, "random")))
    process = TrainerProcess(run, client, shutdown, grace_seconds=1.0)
    publish = Checkpoints.publish

    def slow(self: Checkpoints, model: Any, optimiser: Any, state: Any, *, final: bool) -> None:
        if shutdown.requested:
            release.wait(30)
        else:
            publish(self, model, optimiser, state, final=final)

    monkeypatch.setattr(Checkpoints, "publish", slow)
    with pytest.raises(TrainingInterrupted):
        process.run(after_step=lambda step: shutdown.request() if step == 3 else None)
    assert 0.6 < shutdown.seconds_ago < 1.5
    assert newest(run).step == 2
    successor = RunLease(RedisLease(client, f"{run.config.run}/trainer", "next"))
    assert successor.acquire(stop=lambda: False), "the lease is free"
    successor.release()


def test_mining_does_not_hold_up_the_end(
    new_run: NewRun, client: Redis, shutdown: Shutdown, release: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    def mine(*_: object) -> None:
        shutdown.request()
        release.wait(30)

    monkeypatch.setattr(NegativeSupply, "start", mine)
    run = new_run(training=training(stage(6, "bm25"), stage(0, "random")))
    started = time.monotonic()
    with pytest.raises(TrainingInterrupted):
        TrainerProcess(run, client, shutdown).run()
    assert time.monotonic() - started < 10


def test_every_checkpoint_is_announced_and_every_step_is_a_sign_of_life(
    new_run: NewRun, client: Redis, shutdown: Shutdown
) -> None:
    process = TrainerProcess(new_run(training=training(stage(4, "random"), stage(0, "random"))), client, shutdown)
    process.run()
    assert process.announced == [
        ("CheckpointPublished", "checkpoint of step 2 (warmup)"),
        ("CheckpointPublished", "checkpoint of step 4 (warmup)"),
    ]
    assert process.health.check("/startupz") == ""
