"""The work queue of a run: tasks on two Redis streams, delivered at least once under leases.

Redis is disposable. What is finished is decided by the store; the coordinator enqueues whatever the store and
`outstanding()` both lack, and a queue that was flushed is whole again.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from redis import Redis
from redis.exceptions import ResponseError

from ance.runtime.contracts import Task
from ance.runtime.outage import OutageLog
from ance.runtime.queue.dead_letters import DeadLetters
from ance.runtime.queue.entries import Delivery, UnreadableEntryError, add_tasks, read_task
from ance.runtime.queue.keys import GROUP, QueueKeys, create_groups, group_is_gone
from ance.runtime.queue.lease import TaskLease
from ance.runtime.queue.reader import QueueReader
from ance.runtime.queue.scripts import DROP_OTHER_STEPS, LEAVE, RESTART_CLOCKS
from ance.runtime.redis.client import OUTAGE

logger = logging.getLogger(__name__)

BLOCK_SECONDS = 1.0
"""Longest single wait of `take`: abandoned and query tasks are looked for in between."""
LEASES_LOOKED_AT = 100
"""Of each stream, the oldest, by one call of `restart_clocks`."""


@dataclass(frozen=True, slots=True)
class QueueCounts:
    """How much work there is."""

    waiting: int
    """Tasks that no worker has had yet."""
    pending: int
    """Tasks that are leased, abandoned or handed back."""
    oldest_age_seconds: float
    """Age of the oldest outstanding task, by the clock of Redis; 0 when there is none."""
    dead: int
    """Dead letters."""


@dataclass(frozen=True, slots=True)
class Completion:
    """A task reported done. The same task may be reported more than once."""

    id: str
    """Of the record: pass the last one to `completions` to get those after it."""
    task_id: str
    step: int
    part: str
    shard: int
    worker: str
    result: dict[str, str]
    """What the worker gave to `done`: size, sha256, rows, seconds."""


class TaskQueue:
    """The queue of one run. Coordinators enqueue and watch; workers take. Thread-safe.

    Args:
        client: from `ance.runtime.redis.client.connect`.
        run_id: names the keys.
        worker: name of this consumer, one a process.
        lease_seconds: a task whose worker has not renewed for this long goes to another.
        max_deliveries: attempts before a task becomes a dead letter.
    """

    def __init__(
        self,
        client: Redis,
        run_id: str,
        worker: str,
        *,
        lease_seconds: float = 60.0,
        max_deliveries: int = 5,
    ) -> None:
        self.keys = QueueKeys(run_id)
        self.dead_letters = DeadLetters(client, self.keys)
        self._client = client
        self._worker = worker
        self._lease_seconds = lease_seconds
        self._max_deliveries = max_deliveries
        self._reader = QueueReader(client, self.keys, worker, lease_seconds)
        self._outage = OutageLog(f"worker {worker}")

    def enqueue(self, tasks: Sequence[Task]) -> list[str]:
        """Add the tasks that are neither outstanding nor dead. Returns the ids of those added."""
        return add_tasks(self._client, self.keys, tasks)

    def outstanding(self) -> set[str]:
        """Ids of all tasks in the queue, waiting or leased."""
        ids = set()
        for stream in self.keys.streams:
            entries: Any = self._client.xrange(stream)
            ids |= {fields.get("id", entry_id) for entry_id, fields in entries}
        return ids

    def drop_other_steps(self, step: int) -> int:
        """Begin the pass of `step`: remove waiting tasks of other steps, cancel those that are leased.

        Returns:
            Number of tasks removed.
        """
        self._client.set(self.keys.step, step)
        script = self._client.register_script(DROP_OTHER_STEPS)
        return sum(int(script(keys=[stream, self.keys.entries], args=[GROUP, step])) for stream in self.keys.streams)

    def cancelled(self, step: int) -> bool:
        """Whether the pass of `step` was superseded. A lease knows by itself: `lease.cancelled`."""
        current = self._client.get(self.keys.step)
        return current is not None and int(current) != step

    def completions(self, after: str = "0-0", *, block_seconds: float = 0.0, limit: int = 1000) -> list[Completion]:
        """Completion records after the one with id `after`, oldest first, waiting for at least one."""
        block = max(1, int(block_seconds * 1000)) if block_seconds > 0 else None
        reply: Any = self._client.xread({self.keys.completed: after}, count=limit, block=block)
        return [_completion(record_id, fields) for _, records in reply for record_id, fields in records]

    def counts(self) -> QueueCounts:
        """Depth of the queue, for metrics."""
        try:
            return self._counts()
        except ResponseError as error:
            if not group_is_gone(error):
                raise
            create_groups(self._client, self.keys)
            return self._counts()

    def take(self, block_seconds: float = BLOCK_SECONDS) -> TaskLease | None:
        """Lease the next task: abandoned ones first, then queries, then passages.

        Waits up to `block_seconds`. None when there is nothing to do, or when Redis is away, which is logged
        once: just take again.
        """
        deadline = time.monotonic() + block_seconds
        while True:
            left = max(0.0, deadline - time.monotonic())
            try:
                delivery = self._reader.next(min(left, BLOCK_SECONDS, self._lease_seconds / 2))
                lease = self._admit(delivery) if delivery is not None else None
                self._outage.ended()
            except OUTAGE as error:
                self._outage.began(error)
                time.sleep(min(left, 0.2))
                delivery = lease = None
            if lease is not None or (delivery is None and time.monotonic() >= deadline):
                return lease

    def restart_clocks(self) -> int:
        """Let leases of dead workers run out although the clock of Redis was set back. Returns how many it mended."""
        script = self._client.register_script(RESTART_CLOCKS)
        return sum(int(script(keys=[stream], args=[GROUP, LEASES_LOOKED_AT])) for stream in self.keys.streams)

    def leave(self) -> None:
        """Forget this worker, when it goes for good. Tasks still leased stay claimable for others."""
        try:
            self._client.register_script(LEAVE)(keys=self.keys.streams, args=[GROUP, self._worker])
        except OUTAGE as error:
            logger.warning("redis is unreachable, worker %s stays listed: %s", self._worker, error)

    def _admit(self, delivery: Delivery) -> TaskLease | None:
        """Lease a delivered entry, unless it is worn out, unreadable or cancelled: then remove it."""
        extra = {"task": delivery.task_id}
        if delivery.attempt > self._max_deliveries:
            self.dead_letters.bury_exhausted(delivery, self._worker)
            logger.error("task is dead after %d deliveries", self._max_deliveries, extra=extra)
            return None
        try:
            task = read_task(delivery.fields)
        except UnreadableEntryError as error:
            self.dead_letters.bury(delivery, self._worker, str(error), delivery.attempt, self._worker)
            logger.error("task is dead, it cannot be read: %s", error, extra=extra)
            return None
        lease = TaskLease(
            self._client,
            self.keys,
            self.dead_letters,
            delivery,
            task,
            worker=self._worker,
            lease_seconds=self._lease_seconds,
            max_deliveries=self._max_deliveries,
        )
        if self.cancelled(task.step):
            lease.discard()
            logger.info("task of a superseded step removed", extra=extra)
            return None
        return lease

    def _counts(self) -> QueueCounts:
        pipeline = self._client.pipeline(transaction=True)
        for stream in self.keys.streams:
            pipeline.xlen(stream)
            pipeline.xpending(stream, GROUP)
            pipeline.xrange(stream, count=1)
        pipeline.hlen(self.keys.dead)
        pipeline.time()
        *streams, dead, (seconds, microseconds) = pipeline.execute()
        total = streams[0] + streams[3]
        pending = streams[1]["pending"] + streams[4]["pending"]
        # An entry's id begins with the milliseconds at which it was added.
        added = [int(entry_id.partition("-")[0]) / 1000 for entry_id, _ in streams[2] + streams[5]]
        now = seconds + microseconds / 1e6
        return QueueCounts(total - pending, pending, now - min(added) if added else 0.0, dead)


def _completion(record_id: str, fields: dict[str, str]) -> Completion:
    own = ("id", "step", "part", "shard", "worker")
    task_id, step, part, shard, worker = (fields[name] for name in own)
    result = {name: value for name, value in fields.items() if name not in own}
    return Completion(record_id, task_id, int(step), part, int(shard), worker, result)
