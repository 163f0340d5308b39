"""The form of a task in a stream, and how it gets there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import ValidationError
from redis import Redis

from ance.runtime.contracts import Contract, EncodeTask, ScoreTask, Task, describe
from ance.runtime.queue.keys import QueueKeys
from ance.runtime.queue.scripts import ENQUEUE

VERSION = "1"
TASKS_A_CALL = 500
"""Tasks added in one script call, so that Redis is never busy with it for long."""


class _Kind(Contract):
    """What a task of any kind says of itself. Encode tasks say nothing."""

    kind: str = "encode"


KINDS: dict[str, type[EncodeTask] | type[ScoreTask]] = {"encode": EncodeTask, "score": ScoreTask}


class UnreadableEntryError(Exception):
    """A stream entry that is no task of this version. Its message says why."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """An entry as it was delivered to a worker."""

    stream: str
    entry_id: str
    fields: Mapping[str, str]
    attempt: int
    """1 at the first delivery."""
    last_worker: str = ""
    """Who had it before, if its lease ran out or it was given back."""

    @property
    def task_id(self) -> str:
        """The task's id, or the entry's where the entry cannot be read."""
        return self.fields.get("id", self.entry_id)


def read_task(fields: Mapping[str, str]) -> Task:
    """The task of an entry.

    Raises:
        UnreadableEntryError: another version wrote it, or it is no valid task.
    """
    if fields.get("v") != VERSION:
        raise UnreadableEntryError(f"entry version {fields.get('v')!r}, this worker reads {VERSION!r}")
    text = fields.get("task", "")
    try:
        kind = _Kind.model_validate_json(text).kind
        if kind not in KINDS:
            raise UnreadableEntryError(f"a task of kind {kind!r}, this worker does: {', '.join(KINDS)}")
        return KINDS[kind].model_validate_json(text)
    except ValidationError as error:
        raise UnreadableEntryError(describe(error)) from error


def add_tasks(client: Redis, keys: QueueKeys, tasks: Sequence[Task], *, revive: bool = False) -> list[str]:
    """Add the tasks that are not outstanding yet, in order, even while others do the same.

    Args:
        revive: also add tasks that have a dead letter, and remove the letter.

    Returns:
        Ids of the tasks that were added.
    """
    script = client.register_script(ENQUEUE)
    script_keys = [keys.entries, keys.dead, keys.queries, keys.passages]
    added: list[str] = []
    for start in range(0, len(tasks), TASKS_A_CALL):
        arguments = ["1" if revive else "0"]
        for task in tasks[start : start + TASKS_A_CALL]:
            stream = script_keys.index(keys.stream_of(task.part)) + 1
            arguments += [str(stream), task.id, str(task.step), task.model_dump_json()]
        added += script(keys=script_keys, args=arguments)
    return added
