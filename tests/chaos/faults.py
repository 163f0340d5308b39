"""A store that is slow and fails, as one across a bad network is."""

from __future__ import annotations

import errno
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from ance.runtime.store.backends import Backend
from ance.runtime.store.file_writer import FileWriter
from ance.runtime.store.writers import Change

T = TypeVar("T")

TORN = "torn"
"""Part of the names of what a torn write leaves behind."""


@dataclass(frozen=True)
class Faults:
    """How bad it is. Rates are shares of all calls."""

    seed: int
    errors: float = 0.01
    lost_answers: float = 0.01
    """The call was carried out, and its caller is told that it failed."""
    torn: float = 0.01
    """The writer dies half-way, and what it had written stays behind."""
    delays: float = 0.02
    delay_seconds: float = 0.05


class BadNetwork:
    """Lets calls through, late, not at all, or without their answer."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self._random = random.Random(faults.seed)
        self.failures = 0

    def call(self, operation: Callable[[], T]) -> T:
        faults, chance = self._faults, self._random.random()
        if chance < faults.errors:
            self._fail()
        if self._random.random() < faults.delays:
            time.sleep(faults.delay_seconds)
        answer = operation()
        if chance < faults.errors + faults.lost_answers:
            self._fail()
        return answer

    def tear(self, path: str, data: bytes) -> None:
        """Sometimes write half of it under a writer's temporary name, and fail."""
        if self._random.random() < self._faults.torn:
            target = Path(path)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.with_name(f".{target.name}.{TORN}-{self.failures}.tmp").write_bytes(data[: len(data) // 2])
            self._fail()

    def _fail(self) -> None:
        self.failures += 1
        raise OSError(errno.EIO, "fault injected by the test")


class FaultyFileSystem:
    """An fsspec file system across the bad network."""

    def __init__(self, fs: Any, network: BadNetwork) -> None:
        self._fs = fs
        self._network = network

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._fs, name)
        return lambda *positional, **named: self._network.call(lambda: method(*positional, **named))


class FaultyWriter(FileWriter):
    """Atomic writes across the bad network. A write that fails was made as a whole or not at all."""

    def __init__(self, network: BadNetwork) -> None:
        self._network = network

    def create(self, path: str, data: bytes) -> bool:
        self._network.tear(path, data)
        return self._network.call(lambda: super(FaultyWriter, self).create(path, data))

    def replace(self, path: str, data: bytes) -> None:
        self._network.tear(path, data)
        self._network.call(lambda: super(FaultyWriter, self).replace(path, data))

    def put(self, path: str, source: Path, *, link: bool) -> None:
        self._network.tear(path, source.read_bytes())
        self._network.call(lambda: super(FaultyWriter, self).put(path, source, link=link))

    def swap(self, path: str, change: Change) -> bool:
        # Its own write goes through `replace`, and fails there.
        return super().swap(path, change)


def faulty(backend: Backend, faults: Faults) -> Backend:
    """A folder's backend, as it is across a bad network."""
    network = BadNetwork(faults)
    return backend._replace(fs=FaultyFileSystem(backend.fs, network), writer=FaultyWriter(network))
