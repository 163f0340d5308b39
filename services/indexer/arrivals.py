"""Finished shards of a pass as they come, for whoever mines a part of it; to coordinate the pass is the leader's."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ance.runtime.contracts import EncodeTask
from ance.runtime.outage import OutageLog
from ance.runtime.queue import TaskQueue
from ance.runtime.redis.client import OUTAGE
from services.indexer.collector import BLOCK_SECONDS, FIRST
from services.indexer.shards import FinishedShard, Shards


@dataclass(frozen=True, slots=True)
class Arrivals:
    """Looks where completions say that there is something, and at all that is there every `look_seconds`."""

    queue: TaskQueue
    shards: Shards
    look_seconds: float

    def of(self, tasks: list[EncodeTask], go_on: Callable[[], object]) -> Iterator[FinishedShard]:
        """Yield every task's shard once, in the order in which they are found.

        Args:
            tasks: of one pass.
            go_on: called before every look and every shard; raises what is to end the wait.
        """
        missing = {task.id: task for task in tasks}
        outage = OutageLog("mining")
        after, next_look = FIRST, 0.0
        while missing:
            go_on()
            if time.monotonic() >= next_look:
                stored = self.shards.listed(missing.values())
                found = [task for task in missing.values() if task.output_uri in stored]
                next_look = time.monotonic() + self.look_seconds
            else:
                try:
                    records = self.queue.completions(after, block_seconds=BLOCK_SECONDS)
                    outage.ended()
                except OUTAGE as error:
                    outage.began(error)
                    after, next_look = FIRST, 0.0
                    time.sleep(BLOCK_SECONDS)
                    continue
                after = records[-1].id if records else after
                found = [
                    missing[name] for name in dict.fromkeys(record.task_id for record in records) if name in missing
                ]
            for task in found:
                go_on()
                shard = self.shards.read(task)
                if shard is not None:
                    del missing[task.id]
                    yield shard
