"""A reader that looks all the time, and trusts nothing."""

from __future__ import annotations

import io
import threading
from pathlib import Path
from types import TracebackType

import numpy as np

from ance.runtime.artifacts import ArtifactNotFound, fetch, read_manifest
from ance.runtime.layout import Pointer
from tests.services.service_run import ServiceRun

POINTERS: tuple[Pointer, ...] = ("negatives", "index")


class Reader:
    """Polls pointers, manifests and shards in a thread; what it finds wanting is in `complaints`."""

    def __init__(self, run: ServiceRun, step: int) -> None:
        self._run = run
        self._step = step
        self.looks = 0
        self.complaints: list[str] = []
        self._seen: set[str] = set()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._poll, daemon=True)

    def _poll(self) -> None:
        while not self._stopped.wait(0.1):
            self.looks += 1
            try:
                self._look()
            except Exception as error:  # whatever it is, it is what a reader must never meet
                self.complaints.append(repr(error))

    def _look(self) -> None:
        store, layout = self._run.store, self._run.layout
        for name in POINTERS:
            ref = store.read_pointer(layout.pointer(name))
            if ref is not None:
                fetch(store, ref, self._run.cache)
        try:
            read_manifest(store, f"{layout.embeddings(self._step)}/manifest.json")
        except ArtifactNotFound:
            pass
        else:
            fetch(store, layout.embeddings(self._step), self._run.cache)
        for key in store.list(layout.embeddings(self._step)):
            if key.endswith(".npy") and key not in self._seen:
                assert np.load(io.BytesIO(store.read(key))).dtype == np.float32
                self._seen.add(key)

    def __enter__(self) -> Reader:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        self._thread.join()


def shards_in(folder: Path) -> int:
    """Shards of a pass that are in a file store."""
    return sum(1 for path in folder.rglob("*.npy") if not path.name.startswith(".")) if folder.is_dir() else 0
