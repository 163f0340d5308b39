"""Switching metrics and tracing on and off within one process, for pairs of watched and unwatched work."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import median
from unittest import mock

import numpy as np
from prometheus_client import Counter, Gauge, Histogram
from prometheus_client.metrics import MetricWrapperBase

from ance.runtime import tracing
from ance.runtime.tracing.spans import Tracer, install

RESAMPLES = 2000
SINK = """
import http.server
class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()
    def log_message(self, *_):
        pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_address[1], flush=True)
server.serve_forever()
"""


@contextmanager
def sink() -> Iterator[str]:
    """URL of a collector that forgets what it gets, in a process of its own."""
    with subprocess.Popen([sys.executable, "-c", SINK], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
        finally:
            process.kill()


class Nothing:
    """Takes what a metric takes and forgets it."""

    def labels(self, *_: object, **__: object) -> Nothing:
        """Itself."""
        return self

    def observe(self, *_: object, **__: object) -> None:
        """Nothing."""

    inc = set = observe


@dataclass
class Watching:
    """Metrics and tracing of this process: on, but for the blocks that are `off`."""

    tracer: Tracer

    @classmethod
    @contextmanager
    def to(cls, collector: str) -> Iterator[Watching]:
        """Trace to a collector for the length of the block."""
        with mock.patch.dict("os.environ", {"OTEL_EXPORTER_OTLP_ENDPOINT": collector}):
            tracing.start("benchmark", "benchmark")
            tracer = install(None)
            assert tracer is not None
            install(tracer)
            try:
                yield cls(tracer)
            finally:
                tracing.stop()

    @contextmanager
    def off(self) -> Iterator[None]:
        """Neither metrics nor traces in the block."""
        nothing = Nothing()
        install(None)
        with (
            mock.patch.object(MetricWrapperBase, "labels", nothing.labels),
            mock.patch.object(Histogram, "observe", nothing.observe),
            mock.patch.object(Counter, "inc", nothing.inc),
            mock.patch.object(Gauge, "set", nothing.set),
        ):
            yield
        install(self.tracer)


@dataclass
class Comparison:
    """Seconds of pairs of the same work."""

    watched: list[float] = field(default_factory=list)
    unwatched: list[float] = field(default_factory=list)

    @property
    def ratios(self) -> list[float]:
        """Unwatched over watched of each pair."""
        return [off / on for on, off in zip(self.watched, self.unwatched, strict=True)]

    @property
    def ratio(self) -> float:
        """Their median: below 1 by what watching costs."""
        return median(self.ratios)

    @property
    def interval(self) -> tuple[float, float]:
        """In which that median lies with 95 % (bootstrap)."""
        ratios = np.array(self.ratios)
        rng = np.random.default_rng(0)
        medians = [float(np.median(rng.choice(ratios, len(ratios)))) for _ in range(RESAMPLES)]
        low, high = np.quantile(medians, (0.025, 0.975))
        return float(low), float(high)
