"""The local cache of downloads: bounded, least recently used first out, and never what a process still reads.

Processes may share the folder. Whoever reads a slot holds a shared lock on it, which the kernel drops when the
process dies; eviction needs the exclusive one, and takes no for an answer.
"""

from __future__ import annotations

import fcntl
import logging
import os
import re
import shutil
import threading
import uuid
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from ance.errors import AnceError

logger = logging.getLogger(__name__)

HELD = 3
"""Slots a process holds of each role: the version it uses, the one it loads, and the one it would go back to."""

_SLOT = re.compile(r"[0-9a-f]{64}(-[0-9a-f]{16})?")
_TEMPORARY = re.compile(r"\.(?P<slot>[0-9a-f-]+)\.[0-9a-f]{32}\.tmp")
_EVICTION = ".eviction.lock"


class Cache:
    """Slots in a folder, each a folder of files that is there as a whole or not at all. Thread-safe.

    Args:
        folder: made when it is needed.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.limit: int | None = None
        """Bytes that all slots together may have (None: any). Downloads at the same moment can exceed it."""
        self._held: defaultdict[str, OrderedDict[str, int]] = defaultdict(OrderedDict)
        """Role -> slot -> descriptor of its locked file."""
        self._holding = threading.Lock()

    def get(self, slot: str, role: str, size: int, fill: Callable[[Path], None]) -> Path:
        """The folder of a slot, filled first where it is not there yet.

        Args:
            slot: names the content: a hash.
            role: what the content is to its reader. Of each role the newest `HELD` slots stay held.
            size: bytes that `fill` will write.
            fill: writes the content into the folder it is given.

        Raises:
            AnceError: limit or disk are too small for it.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        folder = self.folder / slot
        self._hold(slot, role)
        if not folder.is_dir():
            # One process downloads, and those beside it wait: on a node with eight GPUs, eight trainers want the same.
            with _locked(self.folder / f".{slot}.fill.lock"):
                if not folder.is_dir():
                    self._make_room(size)
                    self._fill(folder, fill)
        os.utime(self._lock(slot))
        return folder

    def _fill(self, folder: Path, fill: Callable[[Path], None]) -> None:
        temporary = self.folder / f".{folder.name}.{uuid.uuid4().hex}.tmp"
        try:
            fill(temporary)
            temporary.rename(folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)

    def _hold(self, slot: str, role: str) -> None:
        """Hold a slot, whether it is there or not, and let go of the oldest of its role."""
        with self._holding:
            held = self._held[role]
            if slot not in held:
                held[slot] = os.open(self._lock(slot), os.O_RDWR | os.O_CREAT, 0o644)
                fcntl.flock(held[slot], fcntl.LOCK_SH)  # waits while it is being evicted
            held.move_to_end(slot)
            while len(held) > HELD:
                os.close(held.popitem(last=False)[1])

    def _make_room(self, needed: int) -> None:
        if self.limit is not None:
            with _locked(self.folder / _EVICTION):
                self._evict_down_to(self.limit - needed, needed)
        free = shutil.disk_usage(self.folder).free
        if needed > free:
            raise AnceError(
                f"cache {self.folder}: {needed} bytes to download, {free} free: make room or move the cache"
            )

    def _evict_down_to(self, allowed: int, needed: int) -> None:
        slots = sorted(self._slots(), key=self._last_use)
        sizes = {path: _size(path) for path in slots}
        for path in slots:
            if sum(sizes.values()) <= allowed:
                return
            if self._evict(path):
                del sizes[path]
        if sum(sizes.values()) > allowed:
            raise AnceError(
                f"cache {self.folder}: {needed} bytes to download, {sum(sizes.values())} in use, and no more than "
                f"{self.limit} allowed: raise ANCE_CACHE_BYTES"
            )

    def _evict(self, path: Path) -> bool:
        """Delete a slot, or what a crash has left of a download. False if a process holds it."""
        with self._lock(_slot_of(path)).open("ab") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            # First another name: nobody finds half a slot if the deletion is interrupted.
            doomed = self.folder / f".{_slot_of(path)}.{uuid.uuid4().hex}.tmp"
            path.rename(doomed)
            shutil.rmtree(doomed)
        logger.info("cache: %s evicted", path.name)
        return True

    def _slots(self) -> Iterator[Path]:
        for path in self.folder.iterdir():
            if _SLOT.fullmatch(path.name) or _TEMPORARY.fullmatch(path.name):
                yield path

    def _last_use(self, path: Path) -> float:
        lock = self._lock(_slot_of(path))
        return lock.stat().st_mtime if lock.exists() else 0.0

    def _lock(self, slot: str) -> Path:
        # The file stays: removing it would split the lock in two. Its time of change is that of the last use.
        return self.folder / f".{slot}.lock"


@cache
def cache_at(folder: Path) -> Cache:
    """The cache in a folder. One object a process: what it holds is the process's."""
    return Cache(folder)


def _slot_of(path: Path) -> str:
    temporary = _TEMPORARY.fullmatch(path.name)
    return temporary["slot"] if temporary else path.name


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
