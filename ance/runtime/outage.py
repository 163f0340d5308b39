"""Servers that are away for a while: what that is called, and how often it is said."""

from __future__ import annotations

import logging
import time

logger = logging.getLogger(__name__)


class Unreachable(Exception):
    """A server could not be asked. It passes by itself, and says nothing about what was asked."""


class OutageLog:
    """Says once that a server is away, and once that it is back, however often it is asked in between."""

    def __init__(self, what_waits: str, server: str = "redis") -> None:
        self._what_waits = what_waits
        self._server = server
        self._since: float | None = None

    def began(self, error: Exception) -> None:
        """Note a question that got no answer."""
        if self._since is None:
            self._since = time.monotonic()
            logger.warning("%s is unreachable, %s waits: %s", self._server, self._what_waits, error)

    def ended(self) -> None:
        """Note a question that was answered."""
        if self._since is not None:
            seconds = time.monotonic() - self._since
            self._since = None
            logger.info("%s is back after %.1f s, %s goes on", self._server, seconds, self._what_waits)
