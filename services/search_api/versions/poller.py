"""A thread that looks at something again and again."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from services.search_api.engine.worker import NICE, lower_priority

log = logging.getLogger(__name__)

STOP_SECONDS = 5.0


class Poller:
    """Calls `poll` at once, then every `seconds`, and when it is woken."""

    def __init__(self, name: str, poll: Callable[[], None], seconds: float) -> None:
        self._poll = poll
        self._seconds = seconds
        self._woken = threading.Event()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def wake(self) -> None:
        """Poll soon, without waiting for the next turn."""
        self._woken.set()

    def pause(self, seconds: float) -> bool:
        """Sleep within a poll. Returns whether the thread was told to stop meanwhile."""
        return self._stopped.wait(seconds)

    def give_way(self) -> None:
        """From now on searches go first. Said within a poll, as soon as there is no more that a search waits for."""
        if threading.current_thread() is self._thread:
            lower_priority(NICE)

    def stop(self) -> None:
        """Stop polling. What a poll is doing changes nothing but memory, so the wait for it is short."""
        self._stopped.set()
        self._woken.set()
        if self._thread.is_alive():
            self._thread.join(STOP_SECONDS)

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                self._poll()
            except Exception:  # a bug in one look must not be the last look: the service would stay as it is for ever
                log.exception("%s: this look failed, the next one is in %g s", self._thread.name, self._seconds)
            self._woken.wait(self._seconds)
            self._woken.clear()
