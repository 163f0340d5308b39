"""Metrics of one component, made alike."""

from __future__ import annotations

import itertools
import math

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info


class Family:
    """Makes metrics named `ance_<component>_<what>` in one registry.

    Labels are given with the values they can have, () where those are not known beforehand. Counters and
    histograms start at 0 for every known value, because a rate needs the series before the first event.
    """

    def __init__(self, component: str, registry: CollectorRegistry) -> None:
        self._prefix = f"ance_{component}"
        self._registry = registry

    def gauge(self, what: str, text: str, start: float = math.nan, **labels: tuple[str, ...]) -> Gauge:
        """A gauge that is NaN until it is first measured, because 0 would be a claim; or `start`."""
        gauge = Gauge(f"{self._prefix}_{what}", text, tuple(labels), registry=self._registry)
        if not labels:
            gauge.set(start)
        return gauge

    def counter(self, what: str, text: str, **labels: tuple[str, ...]) -> Counter:
        """A counter; its name gets the ending `_total`."""
        counter = Counter(f"{self._prefix}_{what}", text, tuple(labels), registry=self._registry)
        for values in _known(labels):
            counter.labels(*values)
        return counter

    def histogram(self, what: str, text: str, buckets: tuple[float, ...], **labels: tuple[str, ...]) -> Histogram:
        """A histogram with upper bounds `buckets`, in the unit of the name."""
        name = f"{self._prefix}_{what}"
        histogram = Histogram(name, text, tuple(labels), registry=self._registry, buckets=buckets)
        for values in _known(labels):
            histogram.labels(*values)
        return histogram

    def info(self, what: str, text: str) -> Info:
        """Facts as labels of a constant 1; its name gets the ending `_info`."""
        return Info(f"{self._prefix}_{what}", text, registry=self._registry)


def _known(labels: dict[str, tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Every combination of label values; none without labels or with a label whose values are not known."""
    return list(itertools.product(*labels.values())) if labels else []
