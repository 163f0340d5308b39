"""At which steps of a run a checkpoint is published, from a number or a string such as `0:500,2000:1000`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from math import inf

PHASE = re.compile(r"(\d+):(\d+)")


@dataclass(frozen=True, slots=True)
class CheckpointSchedule:
    """Phases of a run, each with its own interval between checkpoints.

    A phase reaches from its first step up to and including the first step of the next, and counts its interval from
    its first step. Frequent refreshes early and rare ones later is what ANCE-Tele's short first rounds come to.

    Attributes:
        phases: first step of each phase, rising from 0, and the steps from one of its checkpoints to the next.
    """

    phases: tuple[tuple[int, int], ...]

    @classmethod
    def parse(cls, schedule: int | str) -> CheckpointSchedule:
        """Every `schedule` steps; or phases `first step:interval`, with commas between them.

        Raises:
            ValueError: no such schedule; the message says what is wrong with it.
        """
        text = f"0:{schedule}" if isinstance(schedule, int) else schedule
        matches = [PHASE.fullmatch(phase.strip()) for phase in text.split(",")]
        phases = tuple((int(match[1]), int(match[2])) for match in matches if match is not None)
        if len(phases) < len(matches):
            raise ValueError(f"'{schedule}' is neither a number of steps nor a schedule as 0:500,2000:1000")
        starts = [first for first, _ in phases]
        if starts[0] != 0 or starts != sorted(set(starts)):
            raise ValueError(f"the first steps of '{schedule}' must rise from 0")
        if not all(interval for _, interval in phases):
            raise ValueError(f"'{schedule}' has an interval of 0 steps: at least 1")
        return cls(phases)

    def longest(self, start: int, stop: int) -> int:
        """The most steps between two checkpoints in a row of a stage that has one at `start` and one at `stop`.

        More than any interval where a phase ends before its next checkpoint is due.
        """
        steps = [start]
        while steps[-1] < stop:
            steps.append(min(self.next_due(steps[-1]), stop))
        return max((later - earlier for earlier, later in pairwise(steps)), default=0)

    def interval(self, step: int) -> int:
        """Steps from one checkpoint to the next around the step after `step`."""
        return [interval for first, interval in self.phases if first <= step][-1]

    def is_due(self, step: int) -> bool:
        """Whether a checkpoint is published once `step` steps of the run are done."""
        return step > 0 and self.last_due(step) == step

    def last_due(self, step: int) -> int:
        """The last step that was due by the time `step` steps of the run are done; 0, the start, is always."""
        return max(self._last_of_phases(step))

    def next_due(self, step: int) -> int:
        """The first step after `step` that is due."""
        ends = [*(first for first, _ in self.phases[1:]), inf]
        due = (first + (max(0, step - first) // interval + 1) * interval for first, interval in self.phases)
        return next(at for at, end in zip(due, ends, strict=True) if at <= end)

    def _last_of_phases(self, step: int) -> Iterator[int]:
        yield 0
        ends = [first for first, _ in self.phases[1:]] + [step]
        for (first, interval), end in zip(self.phases, ends, strict=True):
            reached = min(end, step) - first
            if reached >= interval:
                yield first + reached // interval * interval
