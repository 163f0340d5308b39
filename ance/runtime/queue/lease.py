"""The lease of one task: kept by a heartbeat, and settled once."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from redis import Redis
from redis.commands.core import Script

from ance.runtime.contracts import Task
from ance.runtime.heartbeat import Heartbeat
from ance.runtime.queue.dead_letters import DeadLetters
from ance.runtime.queue.entries import Delivery
from ance.runtime.queue.keys import GROUP, QueueKeys
from ance.runtime.queue.scripts import DISCARD, FINISH, RELEASE, RENEW
from ance.runtime.redis.client import OUTAGE

logger = logging.getLogger(__name__)

COMPLETIONS_KEPT = 20_000
"""Completion records kept, about. More than a pass has; who falls behind asks the store instead."""


class TaskLease:
    """A task that is this worker's until it settles it with `done`, `fail`, `hand_back` or `discard`.

    Used as a context, it renews itself; outside of it, or with a worker that dies, it runs out and the task
    goes to another. Settling never raises while Redis is away: the lease then runs out, and the next worker
    finds the output in the store.

    Attributes:
        task: what to encode or to score.
        attempt: 1 at the first delivery; hand-backs do not count.
        lost: set when the task has gone to another: stop, and do not settle it.
        cancelled: set when the task's step was superseded: stop, and `discard` it.
    """

    def __init__(
        self,
        client: Redis,
        keys: QueueKeys,
        dead_letters: DeadLetters,
        delivery: Delivery,
        task: Task,
        *,
        worker: str,
        lease_seconds: float,
        max_deliveries: int,
    ) -> None:
        self.task = task
        self.attempt = delivery.attempt
        self.lost = threading.Event()
        self.cancelled = threading.Event()
        self._client = client
        self._keys = keys
        self._dead_letters = dead_letters
        self._delivery = delivery
        self._worker = worker
        self._max_deliveries = max_deliveries
        self._renew = client.register_script(RENEW)
        self._heartbeat = Heartbeat(self.renew, lease_seconds, self.lost, f"task {task.id}")

    @property
    def interrupted(self) -> bool:
        """Whether to stop encoding: the lease is lost or the task cancelled. Costs no round trip."""
        return self.lost.is_set() or self.cancelled.is_set()

    def renew(self) -> bool:
        """Ask for another `lease_seconds`. False when the task has gone to another.

        Raises:
            redis.exceptions.ConnectionError: Redis is away, which says nothing about the lease.
        """
        step = str(self.task.step)
        verdict = self._renew(
            keys=[self._delivery.stream, self._keys.step],
            args=[GROUP, self._worker, self._delivery.entry_id, step],
        )
        if verdict == 2:
            self.cancelled.set()
        return bool(verdict)

    def done(self, result: Mapping[str, str]) -> bool:
        """The output is in the store: remove the task and record its completion, in one step.

        Harmless on a lost lease: the completion is true all the same, and another's entry is left alone.

        Args:
            result: goes into the completion record (size, sha256, rows, seconds ...).

        Returns:
            Whether the lease was still held.
        """
        record = {
            **result,
            "id": self.task.id,
            "step": str(self.task.step),
            "part": str(self.task.part),
            "shard": str(self.task.shard),
            "worker": self._worker,
        }
        fields = [text for field in record.items() for text in field]
        return self._settle(
            self._client.register_script(FINISH),
            [self._keys.entries, self._keys.errors, self._keys.completed],
            [self.task.id, COMPLETIONS_KEPT, *fields],
        )

    def fail(self, error: str) -> bool:
        """This attempt failed: anyone may try again at once, or nobody after `max_deliveries` attempts."""
        if self.attempt < self._max_deliveries:
            return self._release(self.attempt, error)
        self._heartbeat.stop()
        try:
            held = self._dead_letters.bury(self._delivery, self._worker, error, self.attempt, self._worker)
        except OUTAGE as outage:
            return self._unsettled(outage)
        logger.error("task is dead after %d attempts: %s", self.attempt, error, extra={"task": self.task.id})
        return held

    def hand_back(self) -> bool:
        """Leave the task to another, at once and without counting this delivery as an attempt."""
        return self._release(self.attempt - 1, "")

    def discard(self) -> bool:
        """Remove the task: its step was superseded, nobody wants the output."""
        return self._settle(
            self._client.register_script(DISCARD), [self._keys.entries, self._keys.errors], [self.task.id]
        )

    def _release(self, deliveries: int, error: str) -> bool:
        return self._settle(
            self._client.register_script(RELEASE), [self._keys.errors], [deliveries, self.task.id, error]
        )

    def _settle(self, script: Script, keys: list[str], arguments: list[Any]) -> bool:
        # A renewal after the release would restart the idle clock, and hide the task for a whole lease.
        self._heartbeat.stop()
        try:
            held = script(
                keys=[self._delivery.stream, *keys],
                args=[GROUP, self._worker, self._delivery.entry_id, *arguments],
            )
        except OUTAGE as outage:
            return self._unsettled(outage)
        return bool(held)

    def _unsettled(self, outage: Exception) -> bool:
        logger.warning("redis is unreachable, the lease runs out by itself: %s", outage, extra={"task": self.task.id})
        return False

    def __enter__(self) -> TaskLease:
        self._heartbeat.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._heartbeat.stop()
