"""What we use of Milvus."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ance.errors import AnceError
from ance.runtime.milvus.connection import Connection
from ance.runtime.milvus.errors import MilvusAway, MilvusRefusal
from ance.runtime.milvus.kind import IndexKind
from ance.runtime.milvus.settings import MilvusSettings
from ance.runtime.store.retries import Wait

KEY, ROW, VECTOR = "key", "row", "vector"
"""Fields of a collection: the primary key, the passage row, and a vector of the passage, which may have several."""
METRIC = "IP"
LOOK_SECONDS = 0.2
"""How often it is looked whether an index is finished."""

Ranking = tuple[Sequence[int], Sequence[float]]
"""Passage rows and scores, best first."""


class Milvus:
    """The operations of a connection. Several threads may share it.

    Raises:
        AnceError: the settings cannot be, or the package pymilvus is missing.
    """

    def __init__(self, settings: MilvusSettings) -> None:
        self._call = Connection(settings).call
        self._build_seconds = settings.milvus_build_seconds

    def create(self, name: str, dim: int, kind: IndexKind) -> None:
        """Make an empty collection, which is neither indexed nor loaded before it is sealed.

        Raises:
            AnceError: Milvus has no such kind of index.
        """
        from pymilvus import DataType, MilvusClient

        schema = MilvusClient.create_schema(auto_id=False, enable_dynamic_field=False)
        schema.add_field(KEY, DataType.INT64, is_primary=True)
        schema.add_field(ROW, DataType.INT64)
        schema.add_field(VECTOR, DataType.FLOAT_VECTOR, dim=dim)
        index = MilvusClient.prepare_index_params()
        index.add_index(
            VECTOR, index_type=kind.index_type, index_name=VECTOR, metric_type=METRIC, params=dict(kind.build)
        )

        def make(client: Any, timeout: float) -> None:
            # Asked first: a try whose answer was lost may have made it.
            if not client.has_collection(name, timeout=timeout):
                client.create_collection(name, schema=schema, timeout=timeout)
            if VECTOR not in client.list_indexes(name, timeout=timeout):
                client.create_index(name, index, sync=False, timeout=timeout)

        try:
            self._call(f"create {name}", make)
        except MilvusRefusal as error:
            with_what = f" with {kind.build}" if kind.build else ""
            raise AnceError(f"index.factory '{kind.index_type}'{with_what}, {dim} dimensions: {error}") from error

    def put(self, name: str, keys: NDArray[np.int64], ids: NDArray[np.int64], vectors: NDArray[np.float32]) -> None:
        """Write keys and rows int64 [n] and vectors float32 [n, D]. Writing them again changes nothing.

        An upsert, because a write whose answer was lost is repeated, by pymilvus too, and an insert of a key that
        is there adds a second one.
        """
        rows = [
            {KEY: key, ROW: row, VECTOR: vector}
            for key, row, vector in zip(keys.tolist(), ids.tolist(), vectors, strict=True)
        ]
        self._call(f"write to {name}", lambda client, timeout: client.upsert(name, rows, timeout=timeout))

    def seal(self, name: str, wait: Wait = time.sleep) -> None:
        """Make all that was written durable, and wait until it is indexed, or until `wait` says to give up."""
        seconds = self._build_seconds
        self._call(f"flush {name}", lambda client, timeout: client.flush(name, timeout=timeout), seconds)
        deadline = time.monotonic() + seconds
        while not self._is_indexed(name):
            if time.monotonic() >= deadline:
                raise MilvusRefusal(f"{name} is not indexed after {seconds:g} s: raise ANCE_MILVUS_BUILD_SECONDS")
            if wait(LOOK_SECONDS):
                raise MilvusAway(f"{name} is not indexed yet: interrupted")

    def load(self, name: str) -> None:
        """Have it in the memory of the engine, ready to be searched. One that is, stays.

        Raises:
            MilvusRefusal: there is no such collection.
        """
        seconds = self._build_seconds
        self._call(f"load {name}", lambda client, timeout: client.load_collection(name, timeout=timeout), seconds)

    def count(self, name: str) -> int:
        """Vectors of a loaded collection. Strong: whatever anybody has written is counted."""
        counted = self._call(
            f"count {name}",
            lambda client, timeout: client.query(
                name, output_fields=["count(*)"], consistency_level="Strong", timeout=timeout
            ),
        )
        return int(counted[0]["count(*)"])

    def dim(self, name: str) -> int:
        """Length of the vectors of a collection."""
        found = self._call(
            f"describe {name}", lambda client, timeout: client.describe_collection(name, timeout=timeout)
        )
        (vector,) = (field for field in found["fields"] if field["name"] == VECTOR)
        return int(vector["params"]["dim"])

    def search(
        self, name: str, queries: NDArray[np.float32], k: int, kind: IndexKind, expression: str = ""
    ) -> list[Ranking]:
        """Rows of the best k vectors of a loaded collection for each query, float32 [n, D].

        Bounded: a published collection is older than the bound (`MilvusIndexBuilder`) and never changes, so all of it
        is seen, and no query waits for the clock of the engine, as with strong consistency.
        """
        found = self._call(
            f"search in {name}",
            lambda client, timeout: client.search(
                name,
                queries,
                limit=k,
                filter=expression,
                anns_field=VECTOR,
                output_fields=[ROW],
                search_params={"metric_type": METRIC, "params": dict(kind.search)},
                consistency_level="Bounded",
                timeout=timeout,
            ),
        )
        return [([hit[ROW] for hit in hits], [hit["distance"] for hit in hits]) for hits in found]

    def collections(self) -> list[str]:
        """Names of all collections."""
        return list(self._call("list collections", lambda client, timeout: client.list_collections(timeout=timeout)))

    def drop(self, name: str) -> None:
        """Delete a collection, if it is there."""
        self._call(f"drop {name}", lambda client, timeout: client.drop_collection(name, timeout=timeout))

    def point(self, alias: str, name: str) -> None:
        """Let an alias name a collection, and no other any more."""
        try:
            self._call(f"alias {alias}", lambda client, timeout: client.alter_alias(name, alias, timeout=timeout))
        except AnceError:  # there is no such alias yet, which each version of Milvus says in its own way
            self._call(f"alias {alias}", lambda client, timeout: client.create_alias(name, alias, timeout=timeout))

    def _is_indexed(self, name: str) -> bool:
        index = self._call(
            f"describe index of {name}", lambda client, timeout: client.describe_index(name, VECTOR, timeout=timeout)
        )
        if index["state"] == "Failed":
            raise MilvusRefusal(f"Milvus could not index {name}: its log says why")
        return bool(index["state"] == "Finished" and index["pending_index_rows"] == 0)
