"""Indexes in Milvus: built into collections of their own, opened by name, dropped when no version needs them."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ance.retrieval.config import IndexConfig
from ance.runtime.contracts import Kind
from ance.runtime.layout import MANIFEST, RunLayout
from ance.runtime.milvus.builder import MilvusIndexBuilder
from ance.runtime.milvus.collections import CollectionName, alias_of, escaped
from ance.runtime.milvus.engine import Milvus
from ance.runtime.milvus.errors import MilvusAway
from ance.runtime.milvus.index import MilvusIndex
from ance.runtime.milvus.kind import parse_kind
from ance.runtime.milvus.record import RECORD_FILE, MilvusRecord
from ance.runtime.milvus.settings import MilvusSettings
from ance.runtime.store import Store
from ance.runtime.store.retries import Wait

logger = logging.getLogger(__name__)


class MilvusBackend:
    """Keeps the indexes of one run.

    Args:
        config: index section of the run's configuration.
        settings: how to reach Milvus.
        store: of the run.
        layout: of the run.
        wait: waits between two tries while Milvus is away.

    Raises:
        AnceError: the settings cannot be, or the package pymilvus is missing.
    """

    def __init__(
        self, config: IndexConfig, settings: MilvusSettings, store: Store, layout: RunLayout, wait: Wait = time.sleep
    ) -> None:
        self._kind = parse_kind(config.factory, config.parameters)
        self._settings = settings
        self._store = store
        self._layout = layout
        self._wait = wait
        self._milvus = Milvus(settings)

    def build(self, dim: int, *, step: int, token: int) -> MilvusIndexBuilder:
        """Begin an index, in a collection that nobody has used. What earlier attempts have left is dropped."""
        with _unless_away():
            self._drop_unused(token, step)
        return MilvusIndexBuilder(
            self._milvus,
            str(CollectionName.new(self._layout.run, step, token)),
            dim,
            self._kind,
            patience=self._settings.milvus_build_seconds,
            staleness=self._settings.milvus_staleness_seconds,
            wait=self._wait,
        )

    def open(self, folder: Path) -> MilvusIndex:
        """Open the index whose artifact is in a folder. See `MilvusIndex.open`."""
        return MilvusIndex.open(self._milvus, folder)

    def tidy(self) -> None:
        """Point the run's alias at the newest version, and drop collections that belong to no version any more.

        While Milvus is away nothing happens, which the log says; the next time does it all.

        Raises:
            AnceError: a record in the store cannot be read; nothing may be dropped before somebody has looked.
        """
        newest = self._store.read_pointer(self._layout.pointer("index"))
        if newest is None:
            return
        with _unless_away():
            self._milvus.point(alias_of(self._layout.run), self._record(newest.step).collection)
            self._drop_unused(newest.fencing_token, newest.step)

    def _drop_unused(self, token: int, step: int) -> None:
        """Drop what is in no published version and was begun under an older lease, or under this one up to a step.

        A version that is held is in the store: retention spares it. One that is being written under a newer lease, or
        for a later step, is left alone, so a leader that was replaced without noticing destroys nothing.
        """
        # First the names: what is published in between is among the records then.
        ours = [name for name in map(CollectionName.parse, self._milvus.collections()) if name is not None]
        begun = [
            name for name in ours if name.run == escaped(self._layout.run) and (name.token, name.step) <= (token, step)
        ]
        used = self._published_collections() if begun else set()
        for name in begun:
            if str(name) not in used:
                self._milvus.drop(str(name))
                logger.info("collection %s dropped: no version needs it", name)

    def _published_collections(self) -> set[str]:
        folder = self._layout.versions(Kind.INDEX)
        steps = [int(name) for name in self._store.folders(folder) if name.isdecimal()]
        published = [step for step in steps if self._store.exists(f"{self._layout.index(step)}/{MANIFEST}")]
        return {self._record(step).collection for step in published}

    def _record(self, step: int) -> MilvusRecord:
        key = f"{self._layout.index(step)}/{RECORD_FILE}"
        return MilvusRecord.parse(self._store.read(key), key)


@contextmanager
def _unless_away() -> Iterator[None]:
    """Leave the rest of the block for another time if Milvus is away."""
    try:
        yield
    except MilvusAway as error:
        logger.warning("collections not tidied, the next refresh does it: %s", error)
