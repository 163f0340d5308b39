"""Accidents of a refresh, spread evenly over it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from redis import Redis

from ance.runtime.contracts import ArtifactRef
from ance.runtime.queue.keys import GROUP, QueueKeys
from ance.runtime.redis.local_server import LocalRedis
from ance.runtime.shards import rows_of
from services.indexer.plan import plan
from tests.chaos.clock import Clock
from tests.chaos.conftest import STEP
from tests.chaos.outcome import assert_undisturbed
from tests.chaos.processes import Fleet, wait_for
from tests.chaos.reader import Reader, shards_in
from tests.services.service_run import ServiceRun

STOPPED_SECONDS = 4.0
"""Longer than any lease."""
AGAIN = 10
"""So many tasks are delivered once more than they should be."""
HOUR_MS = 3_600_000

Accident = Callable[[], object]


@dataclass(frozen=True)
class Accidents:
    """What can happen to processes and to Redis."""

    fleet: Fleet
    redis: LocalRedis

    def kill(self, name: str) -> Accident:
        """A process dies without a word."""
        return lambda: self.fleet.signal(name, signal.SIGKILL)

    def pause(self, name: str) -> Accident:
        """A process stands still until its leases are gone, and wakes up."""

        def stop() -> None:
            self.fleet.signal(name, signal.SIGSTOP)
            timer = threading.Timer(STOPPED_SECONDS, self.fleet.signal, (name, signal.SIGCONT))
            timer.daemon = True
            timer.start()

        return stop

    def restart_redis(self) -> None:
        """Redis comes back empty."""
        self.redis.stop()
        self.redis.start()

    def jump(self, clock: Clock, hours: float) -> Accident:
        """The time of day changes for everybody, and at that very moment a worker and the leader die."""

        def jump() -> None:
            dying = self.fleet.running("inferencer")[0], leader(self.redis)
            clock.jump(hours)
            for name in dying:
                self.fleet.signal(name, signal.SIGKILL)

        return jump

    def deliver_again(self, keys: QueueKeys) -> None:
        """What the workers have in hand is delivered to others too, and what waits is there a second time."""
        with Redis(port=self.redis.port) as admin:
            for stream in keys.streams:
                for _, fields in admin.xrange(stream, count=AGAIN):
                    admin.xadd(stream, fields)
                for pending in admin.xpending_range(stream, GROUP, "-", "+", AGAIN):
                    admin.xclaim(stream, GROUP, "nobody", 0, [pending["message_id"]], idle=HOUR_MS, justid=True)

    def flush_redis(self) -> None:
        """Redis forgets everything and stays."""
        flush(self.redis)


def leader(redis: LocalRedis) -> str:
    """Name of the process that leads, once one does."""
    with Redis(port=redis.port, decode_responses=True) as admin:
        holders: list[str] = []

        def found() -> bool:
            keys = [key for key in admin.scan_iter("ance:lease:{*/indexer}") if not key.endswith(":token")]
            holders.extend(filter(None, admin.mget(keys)) if keys else [])
            return bool(holders)

        wait_for(found, 60)
    _, holder = holders[-1].split()
    return holder.rpartition("-")[0]


def flush(redis: LocalRedis) -> None:
    """Make Redis forget everything."""
    with Redis(port=redis.port) as admin:
        admin.flushall()


def survive(
    run: ServiceRun, checkpoint: ArtifactRef, fleet: Fleet, accidents: Sequence[Accident], begun: Path
) -> tuple[int, int]:
    """Let a refresh of running processes go through accidents to its end; it must be as if nothing had happened.

    Returns:
        Shards of the pass, and how many of them were begun once too often.
    """
    shards = len(plan(checkpoint, rows_of(run.dataset, run.config, checkpoint.step), run.config))
    embeddings = run.path(run.layout.embeddings(STEP))
    with Reader(run, STEP) as reader:
        for number, accident in enumerate(accidents, 1):
            due = number * shards // (len(accidents) + 1)
            wait_for(lambda due=due: shards_in(embeddings) >= due, 120, fleet.revive)  # type: ignore[misc]
            assert shards_in(embeddings) < shards, "too late for an accident"
            accident()
        wait_for(lambda: fleet.finished("indexer"), 150, fleet.revive)
    assert reader.looks > 10 and reader.complaints == []
    assert_undisturbed(run, checkpoint)
    tasks = begun.read_text().splitlines()
    assert len(set(tasks)) == shards
    return shards, len(tasks) - shards
