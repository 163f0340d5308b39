"""Atomic writes in an object store: every put is whole, and a put can be made to depend on what is there."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any, Protocol

from ance.runtime.store.writers import Change


class ConditionalPuts(Protocol):
    """What object stores do not have in common."""

    def read(self, path: str) -> tuple[bytes, str] | None:
        """Bytes and version (ETag or generation) of an object in one answer; None if there is none."""

    def put(self, path: str, data: bytes, version: str | None) -> bool:
        """Put if that version is still there, with None if nothing is. False if another writer was faster."""

    def size(self, path: str) -> int:
        """Bytes of an object, in one request. No object, or a folder, is a FileNotFoundError."""


class ObjectWriter:
    """Writes through fsspec where that is enough, and through conditional puts where it is not."""

    def __init__(self, fs: Any, conditional: ConditionalPuts) -> None:
        self._fs = fs
        self._conditional = conditional

    def objection(self, root: str) -> str | None:
        path = f"{root}/.probe-{uuid.uuid4().hex}"
        try:
            honoured = self._honours_conditions(path)
            self._fs.rm_file(path)
        except FileNotFoundError as error:
            return f"there is no such bucket ({error}): create it, or correct the URL"
        if honoured:
            return None
        return (
            "it ignores conditional writes (If-None-Match, If-Match), without which two publishers overwrite "
            "each other: use an object store, or a release of it, that supports them"
        )

    def create(self, path: str, data: bytes) -> bool:
        return self._conditional.put(path, data, None)

    def replace(self, path: str, data: bytes) -> None:
        self._fs.pipe_file(path, data)

    def put(self, path: str, source: Path, *, link: bool) -> None:
        self._fs.put_file(str(source), path)

    def swap(self, path: str, change: Change) -> bool:
        while True:
            present = self._conditional.read(path)
            data, version = (None, None) if present is None else present
            wanted = change(data)
            if wanted is None:
                return False
            if self._conditional.put(path, wanted, version):
                return True

    def _honours_conditions(self, path: str) -> bool:
        """Whether puts fail that must: where something is already, and where something else is by now."""
        puts = self._conditional
        puts.put(path, b"first", None)  # refused where the answer to a first try was lost
        if puts.put(path, b"second", None):
            return False
        first = puts.read(path)
        self._fs.pipe_file(path, b"other")
        return first is not None and not puts.put(path, b"third", first[1])
