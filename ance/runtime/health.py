"""Whether a service has started, can do its work, and still moves: what the probes of a kubelet ask."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

LIVENESS_SECONDS = 600.0
"""Longer than the store is asked again while it is away."""


class Health:
    """The answers to /startupz, /readyz and /livez, from what the loop of a service reports. Thread-safe.

    Liveness is the age of the last beat and nothing else. It never asks Redis or the store: a restart would not
    bring them back.

    Args:
        liveness_seconds: a loop that has not come round for this long is stuck.
        stopping: whether the process was told to stop, after which it is not ready.
        clock: seconds that only grow.
    """

    def __init__(
        self,
        liveness_seconds: float = LIVENESS_SECONDS,
        stopping: Callable[[], bool] = lambda: False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._liveness_seconds = liveness_seconds
        self._stopping = stopping
        self._clock = clock
        self._started = False
        self._ready = False
        self._beaten_at = clock()
        self._long = 0
        self._counting = threading.Lock()

    def beat(self) -> None:
        """The loop has come round: call it in every loop, waits included. The first one ends the start-up."""
        self._beaten_at = self._clock()
        self._started = True

    def ready(self, ready: bool = True) -> None:
        """The service can do its work now, or not any more."""
        self._ready = ready

    def beating(self, stop: Callable[[], bool]) -> Callable[[], bool]:
        """`stop`, with a beat at every question: for loops of others that ask whether to stop."""

        def asked() -> bool:
            self.beat()
            return stop()

        return asked

    @contextmanager
    def long_work(self) -> Iterator[None]:
        """Work that cannot beat and may take hours: until it is done, the process counts as alive.

        A probe that killed it would have it begin again, for ever. The price: a hang in here is not noticed.
        """
        with self._counting:
            self._long += 1
        try:
            yield
        finally:
            self.beat()
            with self._counting:
                self._long -= 1

    def check(self, probe: str) -> str:
        """Why a probe (`/startupz`, `/readyz` or `/livez`) fails; empty if it passes.

        Raises:
            KeyError: there is no such probe.
        """
        return {"/startupz": self._check_start, "/readyz": self._check_ready, "/livez": self._check_life}[probe]()

    def _check_start(self) -> str:
        return "" if self._started else "starting"

    def _check_ready(self) -> str:
        if self._stopping():
            return "stopping"
        return "" if self._ready else "not ready"

    def _check_life(self) -> str:
        age = self._clock() - self._beaten_at
        if self._long or age <= self._liveness_seconds:
            return ""
        return f"the loop has not come round for {age:.0f} s"
