"""Keeps a lease alive from a thread, and says when it is lost."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from ance.runtime.outage import OutageLog, Unreachable
from ance.runtime.redis.client import OUTAGE

CANNOT_ASK = (*OUTAGE, Unreachable)
"""What a renewal raises when the server that keeps the lease does not answer."""


class Heartbeat:
    """Renews every third of the lease's time to live, at once at the start.

    A renewal that cannot reach its server is no verdict: the lease counts as held until its time to live has
    passed since the last success was asked for, on the monotonic clock. A second thread watches that
    deadline, so that a renewal which hangs in the network cannot hide it.

    Args:
        renew: asks the server; False when the lease belongs to somebody else. Runs in the heartbeat's thread.
        ttl_seconds: the lease's time to live.
        lost: set, once, when the lease is lost.
        name: of what is leased, for logs and thread names.
        server: that is asked, for logs.
    """

    def __init__(
        self,
        renew: Callable[[], bool],
        ttl_seconds: float,
        lost: threading.Event,
        name: str,
        *,
        server: str = "redis",
    ) -> None:
        self._renew = renew
        self._ttl = ttl_seconds
        self._lost = lost
        self._stopped = threading.Event()
        self._expiry = 0.0
        self._outage = OutageLog(f"the renewal of {name}", server)
        self._threads = [
            threading.Thread(target=self._beat, name=f"renew {name}", daemon=True),
            threading.Thread(target=self._watch, name=f"watch {name}", daemon=True),
        ]

    def start(self) -> None:
        """Start renewing."""
        self._expiry = time.monotonic() + self._ttl
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Stop renewing. No renewal is under way when this returns. Stopping twice is harmless."""
        self._stopped.set()
        for thread in self._threads:
            if thread.is_alive():
                thread.join()

    def _beat(self) -> None:
        while not (self._stopped.is_set() or self._lost.is_set()):
            asked = time.monotonic()
            try:
                held = self._renew()
            except CANNOT_ASK as error:
                self._outage.began(error)
            else:
                self._outage.ended()
                if not held:
                    self._lost.set()
                    return
                # Counted from the question: the server may have restarted the lease's clock any time after it.
                self._expiry = asked + self._ttl
            self._stopped.wait(self._ttl / 3)

    def _watch(self) -> None:
        while not (self._lost.is_set() or self._stopped.wait(max(0.0, self._expiry - time.monotonic()))):
            if time.monotonic() >= self._expiry:
                self._lost.set()
