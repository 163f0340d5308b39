"""Atomic writes in a folder: temporary file, fsync, link or rename, fsync of the folder."""

from __future__ import annotations

import fcntl
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ance.runtime.store.writers import Change


class FileWriter:
    """A folder on a POSIX file system, shared by processes and, on a network file system, by machines."""

    def objection(self, root: str) -> str | None:
        return None if Path(root).is_dir() else f"the folder {root} is not there: create or mount it"

    def create(self, path: str, data: bytes) -> bool:
        target = Path(path)
        if target.exists():
            return False
        with _temporary(target) as temporary:
            _write(temporary, data)
            try:
                # Unlike rename, link refuses to replace: of two writers at once, one wins.
                os.link(temporary, target)
            except FileExistsError:
                return False
            _sync_folder(target.parent)
        return True

    def replace(self, path: str, data: bytes) -> None:
        target = Path(path)
        with _temporary(target) as temporary:
            _write(temporary, data)
            _rename(temporary, target)

    def put(self, path: str, source: Path, *, link: bool) -> None:
        target = Path(path)
        with _temporary(target) as temporary:
            if not (link and _linked(source, temporary)):
                shutil.copyfile(source, temporary)
            with temporary.open("rb") as file:
                # Pods of other users read the store, and some libraries write files for their owner only.
                os.fchmod(file.fileno(), 0o644)
                os.fsync(file.fileno())
            _rename(temporary, target)

    def swap(self, path: str, change: Change) -> bool:
        target = Path(path)
        _make_folder(target.parent)
        with _locked(target.with_name(f".{target.name}.lock")):
            wanted = change(target.read_bytes() if target.exists() else None)
            if wanted is not None:
                self.replace(path, wanted)
        return wanted is not None


def is_scratch(name: str) -> bool:
    """Whether a file is a writer's own: a lock, or what a crash has left of an unfinished write."""
    return name.startswith(".") and name.endswith((".tmp", ".lock"))


@contextmanager
def _temporary(target: Path) -> Iterator[Path]:
    """A name beside `target` that no other writer has. Nothing of it is left but after a crash."""
    _make_folder(target.parent)
    temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex}.tmp")
    try:
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    # The kernel drops the lock when its holder dies. The file stays: removing it would split the lock in two.
    with path.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _write(path: Path, data: bytes) -> None:
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _linked(source: Path, target: Path) -> bool:
    # Another file system, or one without hard links: the caller copies.
    with suppress(OSError):
        os.link(source.resolve(), target)
        return True
    return False


def _rename(source: Path, target: Path) -> None:
    # A new inode: whoever has the old file mapped keeps it whole.
    source.replace(target)
    _sync_folder(target.parent)


def _make_folder(folder: Path) -> None:
    if not folder.is_dir():
        _make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    # A name is durable only when its folder is.
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
