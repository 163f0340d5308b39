"""What a service can show, for the documentation and for tests of rules and dashboards."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from prometheus_client.metrics import MetricWrapperBase

_SERIES = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_count", "_sum"), "info": ("_info",)}


@dataclass(frozen=True, slots=True)
class Entry:
    """One metric."""

    name: str
    """As Prometheus shows it, a histogram without its endings."""
    kind: str
    """counter, gauge, histogram or info."""
    labels: tuple[str, ...]
    """Its own, without `run`, which every metric gets."""
    text: str
    series: tuple[str, ...]
    """Names of the series it consists of."""


def catalogue(metrics: object) -> Iterator[Entry]:
    """The metrics of a class such as `TrainerMetrics`, in the order in which it makes them."""
    for value in vars(metrics).values():
        if isinstance(value, MetricWrapperBase):
            family = next(iter(value.describe()))
            series = tuple(f"{family.name}{ending}" for ending in _SERIES[family.type])
            name = family.name if family.type == "histogram" else series[0]
            yield Entry(name, family.type, value._labelnames, family.documentation, series)
        elif type(value).__module__.startswith(__package__):
            yield from catalogue(value)
