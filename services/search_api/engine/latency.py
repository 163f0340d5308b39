"""Latency statistics of the recent requests, by mode and stage."""

from __future__ import annotations

from collections import defaultdict, deque
from statistics import median

from prometheus_client import Gauge

from services.search_api.models.latency import LatencyReport, ModeLatency, Quantiles, SpeedUp
from services.search_api.models.search import SearchResponse, Timings

RECENT = 10_000
"""Requests of a mode whose timings are kept."""
PAIRS = 1_000
"""Queries answered both ways that are kept."""


class LatencyLog:
    """Remembers how long recent requests took. Used on the event loop only.

    Args:
        speed_up: shows how much faster dense search is.
    """

    def __init__(self, speed_up: Gauge) -> None:
        self._shown = speed_up
        self._counts: dict[str, int] = defaultdict(int)
        self._recent: dict[str, deque[Timings]] = defaultdict(lambda: deque(maxlen=RECENT))
        self._ratios: deque[float] = deque(maxlen=PAIRS)

    def add(self, response: SearchResponse) -> None:
        """Remember an answer."""
        self._counts[response.mode] += 1
        self._recent[response.mode].append(response.timings)

    def add_pair(self, dense_seconds: float, rerank_seconds: float) -> None:
        """Remember a query that was answered both ways."""
        self._ratios.append(rerank_seconds / dense_seconds)
        self._shown.set(median(self._ratios))

    def report(self) -> LatencyReport:
        """The statistics as they are now."""
        modes = {
            mode: ModeLatency(count=self._counts[mode], recent=len(recent), stages=_stages(recent))
            for mode, recent in sorted(self._recent.items())
        }
        speed_up = SpeedUp(ratio=median(self._ratios) if self._ratios else None, n=len(self._ratios))
        return LatencyReport(modes=modes, speed_up=speed_up)


def _stages(timings: deque[Timings]) -> dict[str, Quantiles]:
    import numpy as np

    stages = {}
    for stage in Timings.model_fields:
        p50, p95, p99 = np.percentile([getattr(one, stage) for one in timings], (50, 95, 99)).tolist()
        stages[stage] = Quantiles(p50=p50, p95=p95, p99=p99)
    return stages
