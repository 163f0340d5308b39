"""The timings of one request, stage by stage."""

import time

from ance.runtime.tracing import stages
from services.search_api.models.search import Timings


class Stopwatch:
    """Starts when it is made."""

    def __init__(self) -> None:
        self._began = self._last = time.perf_counter()
        self._laps: list[tuple[str, float]] = []

    def lap(self, stage: str, **known: float) -> None:
        """The time since the last lap was spent in `stage`, apart from what is `known` of other stages."""
        now = time.perf_counter()
        rest = max(0.0, now - self._last - sum(known.values()))
        self._last = now
        self._laps += [*known.items(), (stage, rest)]

    def timings(self) -> Timings:
        """All laps and their sum, each a part of the request's trace; the last one was the fetching of documents."""
        self.lap("fetch")
        stages(self._began, self._laps)
        seconds = {"queue": 0.0}
        for stage, lap in self._laps:
            seconds[stage] = seconds.get(stage, 0.0) + lap
        return Timings.model_validate(seconds | {"total": sum(seconds.values())})
