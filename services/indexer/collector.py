"""Finished shards of a refresh, each once, as they come, whatever happens to Redis or to the workers."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from ance.errors import AnceError
from ance.runtime.contracts import EncodeTask, Task
from ance.runtime.health import Health
from ance.runtime.lease import RunLease
from ance.runtime.logs import get_logger
from ance.runtime.metrics import IndexerMetrics
from ance.runtime.outage import OutageLog
from ance.runtime.queue import Completion, TaskQueue
from ance.runtime.redis.client import OUTAGE
from ance.runtime.shutdown import Shutdown
from ance.runtime.store import Store
from services.indexer.progress import PassProgress
from services.indexer.queue_report import report_queue
from services.indexer.settings import IndexerSettings
from services.indexer.shards import FinishedShard, Shards

log = get_logger(__name__)

T = TypeVar("T")
Work = TypeVar("Work", bound=Task)

FIRST = "0-0"
"""Completion records are read from here on; those of tasks that are not missing mean nothing."""
BLOCK_SECONDS = 0.5
"""One wait for completions: the longest delay before shutdown or the loss of leadership is noticed."""
REPORT_SECONDS = 1.0
"""Shards come by the thousand, and a look at the depth of the queue takes as long as a shard."""


class PassInterrupted(Exception):
    """Shutdown was requested or leadership was lost: the pass is continued by the next leader."""


class DeadTask(AnceError):
    """A task of the pass fails again and again: without its vectors nothing may be published."""


class Collector:
    """Enqueues the tasks of one pass and yields their results.

    The store decides what is finished; the queue's completion records only say when to look. So a record that
    is lost with Redis costs at most `reconcile_seconds`, and a record without vectors costs a re-encoding. A queue
    that was flushed as a whole is seen at once: nothing is outstanding, and something is missing.
    """

    def __init__(
        self,
        store: Store,
        queue: TaskQueue,
        lease: RunLease,
        settings: IndexerSettings,
        metrics: IndexerMetrics,
        shutdown: Shutdown,
        *,
        owners: Callable[[EncodeTask], NDArray[np.int64]],
        progress: PassProgress | None = None,
        health: Health | None = None,
    ) -> None:
        self._queue = queue
        self._lease = lease
        self._settings = settings
        self._metrics = metrics
        self._shutdown = shutdown
        self._shards = Shards(store, owners)
        self._progress = progress or PassProgress()
        self._health = health or Health()

    def collect(self, tasks: list[EncodeTask]) -> Iterator[FinishedShard]:
        """Yield every task's shard once, in the order of completion.

        Raises:
            PassInterrupted: shutdown was requested or this process no longer leads.
            DeadTask: a task failed on every delivery and after `dead_letter_retries` re-queues.
            AnceError: what is stored is not the shard's vectors.
        """
        return self._each(tasks, self._shards.read)

    def oversee(self, tasks: list[Work]) -> Iterator[Work]:
        """As `collect`, of tasks of any kind, without reading what has been stored: others do."""
        return self._each(tasks, lambda task: task if self._shards.has(task) else None)

    def _each(self, tasks: list[Work], take: Callable[[Work], T | None]) -> Iterator[T]:
        """What `take` makes of the shard of each task, once it is there; None of one that is not."""
        missing = {task.id: task for task in tasks}
        retries: Counter[str] = Counter()
        outage = OutageLog("indexer")
        after, next_reconcile, next_report = FIRST, 0.0, 0.0
        self._metrics.refresh_shards.set(len(tasks))
        self._metrics.refresh_shards_done.set(0)
        self._progress.begin(tasks)
        while missing:
            self.require_leadership()
            try:
                if time.monotonic() >= next_reconcile:
                    finished, silent = self._reconcile(missing, retries), False
                    next_reconcile = time.monotonic() + self._settings.reconcile_seconds
                else:
                    records = self._queue.completions(after, block_seconds=BLOCK_SECONDS)
                    after, silent = records[-1].id if records else after, not records
                    finished = self._reported(records, missing)
                    self._progress.report(records)
                if silent or time.monotonic() >= next_report:
                    counts = report_queue(self._queue, self._metrics.queue)
                    next_report = time.monotonic() + REPORT_SECONDS
                    self._progress.busy(counts.pending if counts is not None else 0)
                    if silent and counts is not None and counts.waiting + counts.pending == 0:
                        after, next_reconcile = FIRST, 0.0
                outage.ended()
            except OUTAGE as error:
                # Redis may come back empty: read its records from the start, enqueue what is missing.
                outage.began(error)
                self._metrics.queue.up.set(0)
                after, next_reconcile = FIRST, 0.0
                self._shutdown.wait(BLOCK_SECONDS)
                continue
            for task in finished:
                self.require_leadership()  # a pass that is resumed may find hundreds finished
                with self._health.long_work():  # what the caller does with the shard, too
                    taken = take(task)
                    if taken is None:
                        continue  # it was only said to be there: the next look at the store enqueues it again
                    del missing[task.id]
                    self._metrics.refresh_shards_done.set(len(tasks) - len(missing))
                    self._progress.finished(task)
                    yield taken

    def require_leadership(self) -> None:
        """Show that the loop moves, and go on only as a leader.

        Raises:
            PassInterrupted: shutdown was requested or this process no longer leads.
        """
        self._health.beat()
        if self._shutdown.requested:
            raise PassInterrupted("shutdown was requested")
        if self._lease.lost.is_set():
            raise PassInterrupted("the lease is lost")

    def _reconcile(self, missing: dict[str, Work], retries: Counter[str]) -> list[Work]:
        """The missing tasks whose vectors are there; the others are enqueued, unless they are in the queue.

        One listing of a version instead of a question a shard. Where it lags behind, the shard is enqueued once more,
        and the worker that takes it finds the vectors.
        """
        stored = self._shards.listed(missing.values())
        finished = [task for task in missing.values() if task.output_uri in stored]
        unfinished = {task.id: task for task in missing.values() if task.output_uri not in stored}
        self._queue.enqueue(list(unfinished.values()))
        self._queue.restart_clocks()
        self._revive_dead(unfinished, retries)
        return finished

    def _revive_dead(self, unfinished: dict[str, Work], retries: Counter[str]) -> None:
        """Give dead tasks another chance, or give up the pass."""
        for letter in self._queue.dead_letters:
            if letter.task_id not in unfinished:
                continue
            if retries[letter.task_id] >= self._settings.dead_letter_retries:
                raise DeadTask(
                    f"task {letter.task_id} failed {letter.attempts} times, last with: {letter.error}; "
                    "mend the cause, then `ance queue dead requeue`"
                )
            log.error("dead task put back: %s", letter.error, extra={"task": letter.task_id})
            self._queue.dead_letters.requeue(letter.task_id)
            retries[letter.task_id] += 1

    @staticmethod
    def _reported(records: list[Completion], missing: dict[str, Work]) -> list[Work]:
        """Missing tasks that are reported done, each once."""
        reported = {record.task_id: missing[record.task_id] for record in records if record.task_id in missing}
        return list(reported.values())
