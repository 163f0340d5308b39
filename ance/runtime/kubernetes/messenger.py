"""Calls that are worth a try but never a wait: made one after the other in a thread of their own."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from ance.runtime.kubernetes.client import SERVER, Refused
from ance.runtime.outage import OutageLog, Unreachable

logger = logging.getLogger(__name__)

CAPACITY = 64
"""Calls that wait while the API server is away; more are left out, and the log says so."""
FLUSH_SECONDS = 2.0
"""How long the end of the process waits for calls not made yet."""
FIRST_DELAY = 0.5
LONGEST_DELAY = 30.0


class Messenger:
    """Makes calls in order, again and again while the API server is away. Used as a context.

    A call that is refused is logged once for each kind, and forgotten: nothing here is worth stopping for.
    """

    def __init__(self, what_waits: str) -> None:
        self._waiting: dict[str, Callable[[], object]] = {}
        self._changed = threading.Condition()
        self._closing = False
        self._told: set[str] = set()
        self._outage = OutageLog(what_waits, SERVER)
        self._thread = threading.Thread(target=self._work, name=what_waits, daemon=True)

    def send(self, key: str, call: Callable[[], object]) -> None:
        """Queue a call; it takes the place of one with the same key that has not been made yet. Never waits."""
        with self._changed:
            self._waiting.pop(key, None)
            if len(self._waiting) >= CAPACITY:
                self._tell("full", "%d calls to %s are waiting, %s is left out", CAPACITY, SERVER, key)
                return
            self._waiting[key] = call
            self._changed.notify()

    def _work(self) -> None:
        while (call := self._next()) is not None:
            delay = FIRST_DELAY
            while not self._made(call):
                with self._changed:
                    if self._changed.wait_for(lambda: self._closing, delay):
                        return
                delay = min(2 * delay, LONGEST_DELAY)

    def _next(self) -> Callable[[], object] | None:
        """The oldest call; None when the end has come and all are made."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closing)
            key = next(iter(self._waiting), None)
            return None if key is None else self._waiting.pop(key)

    def _made(self, call: Callable[[], object]) -> bool:
        try:
            call()
        except Unreachable as error:
            self._outage.began(error)
            return False
        except Refused as error:
            self._tell(str(error), "%s", error)
        self._outage.ended()
        return True

    def _tell(self, subject: str, message: str, *args: object) -> None:
        """Log what would otherwise be logged at every call."""
        if subject not in self._told:
            self._told.add(subject)
            logger.warning(message, *args)

    def __enter__(self) -> Messenger:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join(FLUSH_SECONDS)
