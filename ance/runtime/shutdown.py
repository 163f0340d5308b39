"""The wish to stop, made by a signal and read by every loop of a service."""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Sequence
from types import FrameType, TracebackType

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Shutdown:
    """Remembers SIGTERM and SIGINT. Call it (`should_stop`) in every loop, sleep with `wait`.

    A second signal of the same kind meets the handler that was there before, so that an impatient Ctrl-C does
    end the process. As a context manager it puts those handlers back when it is left.

    Args:
        signals: What to listen to. Python allows handlers in the main thread only: pass () elsewhere.
    """

    def __init__(self, signals: Sequence[signal.Signals] = SIGNALS) -> None:
        self._requested = False
        self._requested_at = 0.0
        # A pipe, not a threading.Event: a handler that sets an Event can deadlock on the wait it interrupts.
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._writer, False)
        self._previous = {number: signal.signal(number, self._handle) for number in signals}

    @property
    def requested(self) -> bool:
        """Whether the process was asked to stop."""
        return self._requested

    @property
    def seconds_ago(self) -> float:
        """Time since the process was asked to stop; 0 if it was not."""
        return time.monotonic() - self._requested_at if self._requested else 0.0

    def __call__(self) -> bool:
        return self._requested

    def request(self) -> None:
        """Ask to stop, as a signal does. Safe from any thread and from signal handlers."""
        if not self._requested:
            self._requested_at = time.monotonic()
            self._requested = True
            os.write(self._writer, b"!")  # never read, so it wakes every present and future wait

    def wait(self, seconds: float) -> bool:
        """Sleep, but not past a request to stop. Returns whether there is one."""
        poll = select.poll()
        poll.register(self._reader, select.POLLIN)
        return bool(poll.poll(max(0.0, seconds) * 1000))

    def close(self) -> None:
        """Put back the handlers that were there before."""
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous.clear()
        if self._reader >= 0:
            os.close(self._reader)
            os.close(self._writer)
            self._reader = self._writer = -1

    def _handle(self, number: int, frame: FrameType | None) -> None:
        signal.signal(number, self._previous[signal.Signals(number)])
        self.request()

    def __enter__(self) -> Shutdown:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
