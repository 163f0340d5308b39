"""What the services say of themselves on /metrics, read the way Prometheus reads it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.client import HTTPException
from urllib.request import ProxyHandler, build_opener

from prometheus_client.parser import text_string_to_metric_families

TIMEOUT_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Samples:
    """The samples of one scrape; empty when the process did not answer."""

    values: Mapping[tuple[str, frozenset[tuple[str, str]]], float] = field(default_factory=dict)

    def get(self, name: str, **labels: str) -> float | None:
        """The value of a series; None where there is none, or nothing was measured yet (NaN)."""
        value = self.values.get((name, frozenset(labels.items())))
        return None if value is None or math.isnan(value) else value

    def labelled(self, name: str, label: str) -> dict[str, float]:
        """Values of a metric by one of its labels."""
        return {
            dict(labels)[label]: value
            for (series, labels), value in self.values.items()
            if series == name and label in dict(labels)
        }


def scrape(url: str) -> Samples:
    """Read one /metrics page. A process that is starting or gone gives an empty answer, not an error."""
    try:
        # A proxy of the environment is for the world outside, not for this machine.
        with build_opener(ProxyHandler({})).open(url, timeout=TIMEOUT_SECONDS) as response:
            text = response.read().decode()
    except (OSError, HTTPException):
        return Samples()
    return Samples(
        {
            (sample.name, _own(sample.labels)): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }
    )


def _own(labels: Mapping[str, str]) -> frozenset[tuple[str, str]]:
    """Labels without the run, which is the same for a whole process."""
    return frozenset((name, value) for name, value in labels.items() if name != "run")
