"""How far a pass is and how fast one encoder works, for whoever scales the encoders."""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence

from ance.runtime.contracts import Part, ScoreTask, Task
from ance.runtime.kubernetes.scaling import Workload
from ance.runtime.queue import Completion

MEASURED = 64
"""The rate is that of so many tasks, the newest ones."""


class PassProgress:
    """What the collector knows of the pass under way. Thread-safe; `workload` costs no round trip."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._changing = threading.Lock()
        self._remaining: dict[str, int] = {}  # work in the tasks that are missing, of one kind at a time
        self._measured: dict[str, deque[tuple[int, float]]] = {}  # kind -> work, seconds
        self._kind = ""
        self._began_at = 0.0
        self._busy = 0
        self._ended = False

    def begin(self, tasks: Sequence[Task]) -> None:
        """A pass begins, or goes on under this leader: the time it should take is counted from now.

        So it is when the passages are encoded and pairs are to be scored.
        """
        with self._changing:
            self._began_at = self._clock()
            self._kind = "pairs" if any(isinstance(task, ScoreTask) for task in tasks) else "passages"
            self._measured.setdefault(self._kind, deque(maxlen=MEASURED))
            self._remaining = {task.id: _work(task) for task in tasks if _work(task)}

    def report(self, records: Iterable[Completion]) -> None:
        """Completions as workers report them. One that only found its vectors in the store tells nothing of speed."""
        with self._changing:
            for record in records:
                seconds = float(record.result.get("seconds", 0.0))
                if record.task_id in self._remaining and seconds > 0:
                    self._measured[self._kind].append((self._remaining[record.task_id], seconds))

    def finished(self, task: Task) -> None:
        """What comes of the task is there."""
        with self._changing:
            self._remaining.pop(task.id, None)

    def busy(self, tasks: int) -> None:
        """So many tasks are in the hands of workers, as of the last look at the queue."""
        self._busy = tasks

    def end(self) -> None:
        """The run's last version is published."""
        self._ended = True

    def workload(self) -> Workload:
        """What there is to do now. The rate is passages, or pairs, a second of one worker, over the newest tasks."""
        with self._changing:
            measured = self._measured.get(self._kind, ())
            seconds = sum(seconds for _, seconds in measured)
            return Workload(
                remaining=sum(self._remaining.values()),
                rate=sum(work for work, _ in measured) / seconds if seconds else None,
                elapsed_seconds=self._clock() - self._began_at,
                busy=self._busy if self._remaining else 0,
                ended=self._ended,
            )


def _work(task: Task) -> int:
    """Pairs to score, or passages to encode. Queries are too few to count."""
    return task.size if isinstance(task, ScoreTask) or task.part is Part.PASSAGES else 0
