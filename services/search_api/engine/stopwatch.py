"""The timings of one request, stage by stage."""

import time

from services.search_api.models.search import Timings


class Stopwatch:
    """Starts when it is made."""

    def __init__(self) -> None:
        self._last = time.perf_counter()
        self._seconds: dict[str, float] = {}

    def lap(self, stage: str, **known: float) -> None:
        """The time since the last lap was spent in `stage`, apart from what is `known` of other stages."""
        now = time.perf_counter()
        rest = max(0.0, now - self._last - sum(known.values()))
        self._last = now
        for name, seconds in (*known.items(), (stage, rest)):
            self._seconds[name] = self._seconds.get(name, 0.0) + seconds

    def timings(self) -> Timings:
        """All laps and their sum; the last one was the fetching of documents."""
        self.lap("fetch")
        return Timings.model_validate({"queue": 0.0} | self._seconds | {"total": sum(self._seconds.values())})
