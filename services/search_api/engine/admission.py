"""Bounded admission: work that would only wait is turned away while the client can still go elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import Gauge

from services.search_api.engine.errors import Overloaded

RETRY_SECONDS = 1


class Admission:
    """Counts the items in work or waiting. Used on the event loop only.

    Items are queries or pairs, not requests: a list of 100 queries counts as 100 requests of one.

    Args:
        what: the items, for people: `queries`.
        limit: most items at once. A larger request is let in when it is alone.
        depth: shows their number.
    """

    def __init__(self, what: str, limit: int, depth: Gauge) -> None:
        self._what = what
        self._limit = limit
        self._depth = depth
        self._items = 0
        depth.set(0)

    @property
    def idle(self) -> bool:
        """Whether nothing is in work or waiting."""
        return self._items == 0

    @contextmanager
    def admit(self, items: int) -> Iterator[None]:
        """Hold room for `items` in the block.

        Raises:
            Overloaded: there is not enough.
        """
        if self._items and self._items + items > self._limit:
            raise Overloaded(
                f"{self._items} {self._what} are in work or waiting and {items} more would exceed {self._limit}; "
                "retry later",
                RETRY_SECONDS,
            )
        self._change(items)
        try:
            yield
        finally:
            self._change(-items)

    def _change(self, items: int) -> None:
        self._items += items
        self._depth.set(self._items)
