"""How many inferencers it takes to meet the refresh time that the user asked for. Pure: no clock, no server."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field

LEAST_LEFT = 0.1
"""A pass that is late is given this share of its target time, so that the answer stays finite."""


@dataclass(frozen=True, slots=True)
class ScalingPolicy:
    """What the user asked for."""

    minimum: int
    maximum: int
    target_seconds: float
    """Time that the encoding of one pass over the corpus should take."""
    stabilisation_seconds: float
    """Scale down to no less than was wanted at any time in a window this long."""


@dataclass(frozen=True, slots=True)
class Workload:
    """What there is to do."""

    remaining: int = 0
    """Passages of the pass under way that are not encoded yet; once they are, pairs that are not scored yet."""
    rate: float | None = None
    """Passages a second that one pod encodes, or pairs that it scores; None before the first shard was measured."""
    elapsed_seconds: float = 0.0
    """Since the pass began."""
    busy: int = 0
    """Tasks that a worker has in hand."""
    ended: bool = False
    """Whether the run's last version is published: there will be no other pass."""


def wanted_replicas(workload: Workload, current: int, policy: ScalingPolicy) -> int:
    """Pods that finish the pass in time: ceil(remaining passages / (rate a pod x seconds left of the target)).

    At the start of a pass all of the target is left. Counting it down keeps the answer steady while a pass is on
    schedule, raises it when pods came late, and lowers it when they are early.
    """
    if workload.ended or not workload.remaining:
        wanted = policy.minimum
    elif workload.rate is None:
        wanted = max(current, 1)  # one pod is needed to learn the rate
    else:
        left = max(policy.target_seconds - workload.elapsed_seconds, LEAST_LEFT * policy.target_seconds)
        wanted = math.ceil(workload.remaining / (workload.rate * left))
    if wanted < current and not workload.ended:
        # A pod with a task in hand would only hand it back for another to begin again.
        wanted = max(wanted, min(workload.busy, current))
    return min(max(wanted, policy.minimum), policy.maximum)


@dataclass(slots=True)
class Stabiliser:
    """Up at once, down only to the highest of the recent answers, as HorizontalPodAutoscaler does."""

    window_seconds: float
    _answers: deque[tuple[float, int]] = field(default_factory=deque)

    def steady(self, time: float, wanted: int, current: int) -> int:
        """The replicas to have, given what is wanted, what there is, and a time in seconds that only grows."""
        if not self._answers:  # a new leader has no history: what it finds counts as one
            self._answers.append((time, current))
        self._answers.append((time, wanted))
        while self._answers[0][0] < time - self.window_seconds:
            self._answers.popleft()
        return max(wanted, min(current, max(answer for _, answer in self._answers)))
