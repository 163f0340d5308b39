"""Metrics of the artifact store as a process sees it."""

from __future__ import annotations

from prometheus_client import CollectorRegistry

from ance.runtime.metrics.family import Family
from ance.runtime.store.retries import Wait


class StoreMetrics:
    """How often the store could not be reached."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.retries = Family("store", registry).counter(
            "retries", "Calls to the artifact store that failed and were tried again."
        )

    def counting(self, wait: Wait) -> Wait:
        """`wait`, and each wait counted: a store waits exactly before it tries again."""

        def counted(seconds: float) -> object:
            self.retries.inc()
            return wait(seconds)

        return counted
