"""How bytes become durable and visible at once: the seam between the store and what it is kept on.

Reading is the same everywhere and goes through fsspec; writing atomically is not.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

Change = Callable[[bytes | None], bytes | None]
"""From the bytes present, or None, to the bytes wanted, or None to leave them."""


class Writer(Protocol):
    """Writes that a reader sees as a whole or not at all. Paths are fsspec's, without the protocol."""

    def objection(self, root: str) -> str | None:
        """Why these promises cannot be kept below `root`, and what to do; None if they can."""

    def create(self, path: str, data: bytes) -> bool:
        """Put if absent. False if something was there, which stays as it is."""

    def replace(self, path: str, data: bytes) -> None:
        """Put, whatever was there. Readers that have the old bytes open keep them."""

    def put(self, path: str, source: Path, *, link: bool) -> None:
        """`replace` with the bytes of a local file. `link` allows to share the file instead of copying it."""

    def swap(self, path: str, change: Change) -> bool:
        """Replace the bytes by what `change` makes of them, with no other swap in between. False if left."""


class MemoryWriter:
    """The in-memory twin of an object store, for one process."""

    # fsspec's memory is one for the whole process, so its lock is too.
    _lock = threading.Lock()

    def __init__(self, fs: Any) -> None:
        self._fs = fs

    def objection(self, root: str) -> str | None:
        return None

    def create(self, path: str, data: bytes) -> bool:
        return self.swap(path, lambda present: data if present is None else None)

    def replace(self, path: str, data: bytes) -> None:
        self._fs.pipe_file(path, data)

    def put(self, path: str, source: Path, *, link: bool) -> None:
        self._fs.pipe_file(path, source.read_bytes())

    def swap(self, path: str, change: Change) -> bool:
        with self._lock:
            wanted = change(self._fs.cat_file(path) if self._fs.exists(path) else None)
            if wanted is not None:
                self.replace(path, wanted)
        return wanted is not None
