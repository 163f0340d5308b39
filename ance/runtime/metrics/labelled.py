"""One label on every metric of a process: which run it works for."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.registry import Collector


class Labelled(Collector):
    """Shows the metrics of another registry with labels added to every sample."""

    def __init__(self, registry: CollectorRegistry, labels: dict[str, str]) -> None:
        self._registry = registry
        self._labels = labels

    def collect(self) -> Iterator[Metric]:
        """The families of the registry as they are now."""
        for family in self._registry.collect():
            shown = Metric(family.name, family.documentation, family.type, family.unit)
            shown.samples = [sample._replace(labels=self._labels | sample.labels) for sample in family.samples]
            yield shown


def labelled(registry: CollectorRegistry, **labels: str) -> CollectorRegistry:
    """A view of a registry to be scraped, e.g. `labelled(metrics.registry, run="demo")`.

    A label that belongs to the whole process is added here, so that no line of code that measures has to know it.
    """
    view = CollectorRegistry()
    view.register(Labelled(registry, labels))
    return view
