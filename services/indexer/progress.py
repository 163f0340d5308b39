"""How far a pass is and how fast one encoder works, for whoever scales the encoders."""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable

from ance.runtime.contracts import EncodeTask, Part
from ance.runtime.kubernetes.scaling import Workload
from ance.runtime.queue import Completion

MEASURED = 64
"""The rate is that of so many shards, the newest ones."""


class PassProgress:
    """What the collector knows of the pass under way. Thread-safe; `workload` costs no round trip."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._changing = threading.Lock()
        self._remaining: dict[str, int] = {}  # rows of the passage shards that are missing
        self._measured: deque[tuple[int, float]] = deque(maxlen=MEASURED)  # rows, seconds
        self._began_at = 0.0
        self._busy = 0
        self._ended = False

    def begin(self, tasks: Iterable[EncodeTask]) -> None:
        """A pass begins, or goes on under this leader: the time it should take is counted from now."""
        with self._changing:
            self._began_at = self._clock()
            self._remaining = {task.id: task.stop - task.start for task in tasks if task.part is Part.PASSAGES}

    def report(self, records: Iterable[Completion]) -> None:
        """Completions as workers report them. One that only found its vectors in the store tells nothing of speed."""
        with self._changing:
            for record in records:
                seconds = float(record.result.get("seconds", 0.0))
                if record.task_id in self._remaining and seconds > 0:
                    self._measured.append((self._remaining[record.task_id], seconds))

    def finished(self, task: EncodeTask) -> None:
        """The shard's vectors are there."""
        with self._changing:
            self._remaining.pop(task.id, None)

    def busy(self, tasks: int) -> None:
        """So many tasks are in the hands of workers, as of the last look at the queue."""
        self._busy = tasks

    def end(self) -> None:
        """The run's last version is published."""
        self._ended = True

    def workload(self) -> Workload:
        """What there is to do now. The rate is passages a second of one worker, over the newest shards."""
        with self._changing:
            seconds = sum(seconds for _, seconds in self._measured)
            return Workload(
                remaining=sum(self._remaining.values()),
                rate=sum(rows for rows, _ in self._measured) / seconds if seconds else None,
                elapsed_seconds=self._clock() - self._began_at,
                busy=self._busy if self._remaining else 0,
                ended=self._ended,
            )
