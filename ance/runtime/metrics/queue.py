"""Metrics of the work queue, which the indexer's leader shows, so that they are there when no inferencer is."""

from __future__ import annotations

import math

from prometheus_client import CollectorRegistry

from ance.runtime.metrics.family import Family


class QueueMetrics:
    """How much work there is. NaN in a process that does not lead: only one may say it."""

    def __init__(self, registry: CollectorRegistry) -> None:
        make = Family("queue", registry)
        self.up = make.gauge("up", "1 while Redis answers the leader, 0 while it does not.")
        self.waiting = make.gauge("waiting", "Tasks that no worker has.")
        self.pending = make.gauge("pending", "Tasks that a worker has.")
        self.oldest_age_seconds = make.gauge("oldest_age_seconds", "Age of the oldest unfinished task.")
        self.dead = make.gauge("dead", "Dead letters: tasks that failed on every delivery.")

    def show(self, *, waiting: int, pending: int, oldest_age_seconds: float, dead: int) -> None:
        """Redis answered."""
        self.up.set(1)
        self.waiting.set(waiting)
        self.pending.set(pending)
        self.oldest_age_seconds.set(oldest_age_seconds)
        self.dead.set(dead)

    def hide(self) -> None:
        """This process leads no longer."""
        for gauge in (self.up, self.waiting, self.pending, self.oldest_age_seconds, self.dead):
            gauge.set(math.nan)
