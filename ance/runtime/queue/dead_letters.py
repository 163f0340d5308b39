"""Tasks that were given up after too many deliveries, kept until a person decides."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from typing import Any

from redis import Redis

from ance.runtime.contracts import Contract
from ance.runtime.queue.entries import Delivery, UnreadableEntryError, add_tasks, read_task
from ance.runtime.queue.keys import GROUP, QueueKeys
from ance.runtime.queue.scripts import BURY

logger = logging.getLogger(__name__)

WORKER_DIED = "no worker reported an error: it died, or lost its lease, while it had the task"


class DeadLetter(Contract):
    """Why a task was given up."""

    task_id: str
    entry: dict[str, str]
    """The stream entry, from which the task is enqueued again."""
    error: str
    attempts: int
    last_worker: str
    died_at: float
    """Seconds since the epoch."""


class DeadLetters:
    """The dead letters of a run. A dead task is not enqueued again until it is requeued or dropped here."""

    def __init__(self, client: Redis, keys: QueueKeys) -> None:
        self._client = client
        self._keys = keys
        self._bury = client.register_script(BURY)

    def __len__(self) -> int:
        return int(self._client.hlen(self._keys.dead))

    def __iter__(self) -> Iterator[DeadLetter]:
        """The dead letters, oldest first."""
        stored = self._client.hvals(self._keys.dead)
        letters = [DeadLetter.model_validate_json(letter) for letter in stored]
        yield from sorted(letters, key=lambda letter: (letter.died_at, letter.task_id))

    def requeue(self, task_id: str | None = None) -> list[str]:
        """Enqueue one dead task, or all, with a fresh delivery count. A letter that holds no task stays.

        Returns:
            Ids of the tasks that were enqueued.
        """
        tasks = []
        for letter in self:
            if task_id in (None, letter.task_id):
                try:
                    tasks.append(read_task(letter.entry))
                except UnreadableEntryError as error:
                    logger.warning("dead letter %s holds no task, only drop it: %s", letter.task_id, error)
        return add_tasks(self._client, self._keys, tasks, revive=True)

    def drop(self, task_id: str | None = None) -> int:
        """Delete one dead letter, or all: the coordinator may enqueue those tasks anew. Returns how many."""
        ids = self._client.hkeys(self._keys.dead) if task_id is None else [task_id]
        return int(self._client.hdel(self._keys.dead, *ids)) if ids else 0

    def bury(self, delivery: Delivery, worker: str, error: str, attempts: int, last_worker: str) -> bool:
        """Turn a delivered entry into a dead letter, in one step. False if `worker` lost it meanwhile."""
        letter = DeadLetter(
            task_id=delivery.task_id,
            entry=dict(delivery.fields),
            error=error,
            attempts=attempts,
            last_worker=last_worker,
            died_at=time.time(),
        )
        keys = [delivery.stream, self._keys.entries, self._keys.errors, self._keys.dead]
        arguments: list[Any] = [GROUP, worker, delivery.entry_id, delivery.task_id, letter.model_dump_json()]
        return bool(self._bury(keys=keys, args=arguments))

    def bury_exhausted(self, delivery: Delivery, worker: str) -> bool:
        """Bury an entry that came once more than allowed, with the error of its last failure."""
        error = self._client.hget(self._keys.errors, delivery.task_id) or WORKER_DIED
        return self.bury(delivery, worker, str(error), delivery.attempt - 1, delivery.last_worker)
