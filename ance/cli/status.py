"""The state of a run as its services tell it, and the pace of its training."""

import time
from collections import deque
from dataclasses import dataclass, field

from ance.cli.scrape import Samples

STAGES = {"warmup": "warm-up", "ance": "ANCE"}
PACE_STEPS = 60


class Pace:
    """Seconds a training step takes, over the last observations."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque(maxlen=PACE_STEPS)

    def observe(self, step: int, now: float | None = None) -> None:
        """`step` steps are done. A trainer that was restarted may be at an earlier step than before."""
        if self._seen and step < self._seen[-1][1]:
            self._seen.clear()
        if not self._seen or step > self._seen[-1][1]:
            self._seen.append((time.monotonic() if now is None else now, step))

    def seconds_to(self, step: int) -> float | None:
        """Time to a later step at the present pace; None while that is not known."""
        if len(self._seen) < 2:
            return None
        (began, first), (now, last) = self._seen[0], self._seen[-1]
        return max(0, step - last) * (now - began) / (last - first)


@dataclass(slots=True)
class Status:
    """The newest known state of a run. None: not known yet."""

    stage: str = "starting"
    step: int = 0
    total_steps: int = 0
    pace: Pace = field(default_factory=Pace)
    loss: float | None = None
    gradient_norm: float | None = None
    waiting: bool = False
    stopping: bool = False
    """Training ends before its last step: the dev split shows no gain."""
    async_gap: int | None = None
    async_gap_seconds: float | None = None
    refresh_step: int | None = None
    shards_done: int = 0
    shards: int = 0
    refreshes: int = 0
    serving_step: int | None = None
    dev: dict[int, float] = field(default_factory=dict)
    """RR@10 of the dev split by version."""

    def update(self, trainer: Samples, indexer: Samples, search: Samples) -> None:
        """Take what the services answered; a service that did not answer changes nothing."""
        if trainer.values:
            self._take_training(trainer)
        if indexer.values:
            self._take_refresh(indexer)
        if search.values:
            self.serving_step = _whole(search.get("ance_search_index_step"))

    def seconds_left(self) -> float | None:
        """Time to the last training step; None while it is not known, after the last step, and where it ends early."""
        if self.stopping or self.step >= self.total_steps:
            return None
        return self.pace.seconds_to(self.total_steps)

    def _take_training(self, trainer: Samples) -> None:
        step = _whole(trainer.get("ance_trainer_step"))
        if step is not None:  # unknown until the first step after a start
            self.step = step
            self.pace.observe(step)
        self.total_steps = _whole(trainer.get("ance_trainer_total_steps")) or 0
        self.loss = trainer.get("ance_trainer_loss")
        self.gradient_norm = trainer.get("ance_trainer_gradient_norm", group="global")
        self.waiting = bool(trainer.get("ance_trainer_waiting"))
        self.stopping = bool(trainer.get("ance_trainer_stopping"))
        active = trainer.labelled("ance_trainer_stage_info", "stage")
        self.stage = next((STAGES[name] for name, on in active.items() if on), self.stage)
        self.async_gap = _whole(trainer.get("ance_trainer_async_gap_steps"))
        self.async_gap_seconds = trainer.get("ance_trainer_async_gap_seconds")

    def _take_refresh(self, indexer: Samples) -> None:
        self.refreshes = _whole(indexer.get("ance_indexer_refreshes_total")) or 0
        self.shards = _whole(indexer.get("ance_indexer_refresh_shards")) or 0
        self.shards_done = _whole(indexer.get("ance_indexer_refresh_shards_done")) or 0
        self.refresh_step = _whole(indexer.get("ance_indexer_refresh_step"))
        published = _whole(indexer.get("ance_indexer_published_step"))
        reciprocal_rank = indexer.get("ance_indexer_dev_metric", measure="RR@10")
        if published is not None and reciprocal_rank is not None:
            self.dev[published] = reciprocal_rank


def _whole(value: float | None) -> int | None:
    return None if value is None else int(value)
