"""An index of one version, written into Milvus as its shards come."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from ance.retrieval.owners import Owners
from ance.runtime.milvus.engine import Milvus
from ance.runtime.milvus.errors import MilvusAway
from ance.runtime.milvus.index import MilvusIndex, check_count
from ance.runtime.milvus.kind import IndexKind
from ance.runtime.milvus.record import MilvusRecord
from ance.runtime.store.retries import FIRST_DELAY, LONGEST_DELAY, Wait

logger = logging.getLogger(__name__)

T = TypeVar("T")

BYTES_A_REQUEST = 8 << 20
"""Vectors that are sent at once. Milvus takes no message above 64 MiB."""
VECTORS_A_PASSAGE = 2**16
"""More than a passage ever has."""


class MilvusIndexBuilder:
    """Writes the vectors of a version into a collection of its own; none of them stay here.

    While Milvus is away, it waits for it: vectors that were encoded for hours are worth more than a quick error.

    Args:
        milvus: where to.
        collection: name of a collection that nobody has used.
        dim: length of a vector.
        kind: of index.
        patience: seconds to wait for Milvus when it is away.
        staleness: seconds by which a reader of bounded staleness may be behind.
        wait: waits between two tries.

    Raises:
        AnceError: Milvus has no such kind of index.
    """

    def __init__(
        self,
        milvus: Milvus,
        collection: str,
        dim: int,
        kind: IndexKind,
        *,
        patience: float,
        staleness: float,
        wait: Wait = time.sleep,
    ) -> None:
        self._milvus = milvus
        self._collection = collection
        self._dim = dim
        self._kind = kind
        self._patience = patience
        self._staleness = staleness
        self._wait = wait
        self._count = 0
        self._passages = 0
        self._most = 1
        self._written_at = 0.0
        self._sealed: MilvusIndex | None = None
        self._patiently(lambda: milvus.create(collection, dim, kind))

    def add(self, vectors: NDArray[np.float32], ids: NDArray[np.int64]) -> None:
        """Write the vectors float32 [n, D] of the passage rows int64 [n]; those of one passage at once, side by side.

        Raises:
            MilvusAway: Milvus has been away for too long.
        """
        if len(vectors) != len(ids):
            raise ValueError(f"{len(vectors)} vectors came with {len(ids)} ids")
        if self._sealed is not None:
            raise ValueError(f"{self._collection} is sealed: its index was searched or finished")
        keys = _keys(ids)
        for block in _blocks(len(vectors), max(1, BYTES_A_REQUEST // (4 * self._dim))):
            self._patiently(partial(self._milvus.put, self._collection, keys[block], ids[block], vectors[block]))
        self._count += len(ids)
        added = Owners(ids)
        self._passages += added.passages
        self._most = max(self._most, added.most)
        self._written_at = time.monotonic()

    def search(self, queries: NDArray[np.float32], k: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """What the finished index will find, once everything is added. See `SearchableIndex.search`."""
        return self._patiently(partial(self._seal().search, queries, k))

    def finish(self, folder: Path) -> None:
        """Write `milvus.json`, once the collection is durable, indexed, whole, and seen by every reader.

        Raises:
            MilvusAway: Milvus has been away for too long.
            AnceError: the collection does not hold what was added.
        """
        self._seal()
        self._record().write(folder)

    def _seal(self) -> MilvusIndex:
        if self._sealed is None:
            self._patiently(lambda: self._milvus.seal(self._collection, self._wait))
            self._patiently(lambda: self._milvus.load(self._collection))
            # A count sees all writes. A search sees those that are older than the bound, on every replica.
            self._patiently(lambda: check_count(self._milvus, self._collection, self._count))
            time.sleep(max(0.0, self._written_at + self._staleness - time.monotonic()))
            self._sealed = MilvusIndex(self._milvus, self._record())
        return self._sealed

    def _record(self) -> MilvusRecord:
        return MilvusRecord(
            collection=self._collection,
            dim=self._dim,
            count=self._count,
            passages=self._passages,
            most=self._most,
            kind=self._kind,
        )

    def _patiently(self, operation: Callable[[], T]) -> T:
        """Do what is safe to do twice, again and again while Milvus is away."""
        deadline, delay = time.monotonic() + self._patience, FIRST_DELAY
        while True:
            try:
                return operation()
            except MilvusAway as error:
                pause = min(delay * random.uniform(0.5, 1.0), deadline - time.monotonic())
                if pause <= 0:
                    raise
                logger.warning("trying again in %.1f s: %s", pause, error)
                if self._wait(pause):
                    raise
                delay = min(2 * delay, LONGEST_DELAY)


def _keys(ids: NDArray[np.int64]) -> NDArray[np.int64]:
    """The primary key of each vector: its passage's row and its number in it, so that to add it again adds nothing."""
    firsts = np.diff(ids, prepend=ids[:1] - 1) != 0
    number = np.arange(len(ids)) - np.flatnonzero(firsts)[np.cumsum(firsts) - 1]
    keys: NDArray[np.int64] = ids * VECTORS_A_PASSAGE + number
    return keys


def _blocks(length: int, size: int) -> Iterator[slice]:
    return (slice(start, start + size) for start in range(0, length, size))
