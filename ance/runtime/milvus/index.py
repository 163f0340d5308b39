"""An index that Milvus keeps, searched by name: a request sees one version, whatever the alias names."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ance.errors import AnceError
from ance.retrieval.merging import Ranking
from ance.retrieval.owners import empty_ranking, search_passages
from ance.runtime.milvus.engine import ROW, Milvus
from ance.runtime.milvus.record import MilvusRecord
from ance.runtime.milvus.selection import expression_for

QUERIES_A_REQUEST = 256
"""An answer to more, of a thousand passages each, would be megabytes."""


class MilvusIndex:
    """A published collection. It is never written again, and dropped only when nobody holds its version."""

    def __init__(self, milvus: Milvus, record: MilvusRecord) -> None:
        self._milvus = milvus
        self._record = record

    @classmethod
    def open(cls, milvus: Milvus, folder: Path) -> MilvusIndex:
        """Load the collection that `MilvusIndexBuilder.finish` has recorded in a folder, and check that it is whole.

        Raises:
            MilvusAway: Milvus does not answer; the version may be sound.
            AnceError: the collection is gone, or not what was recorded.
        """
        record = MilvusRecord.read(folder)
        milvus.load(record.collection)
        check_count(milvus, record.collection, record.count)
        dim = milvus.dim(record.collection)
        if dim != record.dim:
            raise AnceError(
                f"collection {record.collection} of Milvus has vectors of length {dim} instead of {record.dim}: "
                "build it again"
            )
        return cls(milvus, record)

    @property
    def size(self) -> int:
        """Number of passages."""
        return self._record.passages

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return self._record.dim

    def search(
        self, queries: NDArray[np.float32], k: int, allowed: NDArray[np.bool_] | None = None
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """See `SearchableIndex.search`.

        Raises:
            MilvusAway: Milvus does not answer in time.
            AnceError: too many passages are allowed and too many are not, or the queries have other dimensions.
        """
        if queries.shape[1:] != (self.dim,):
            raise AnceError(f"queries of shape {queries.shape} for an index of {self.dim} dimensions")
        if allowed is not None and not allowed.any():
            return empty_ranking(len(queries), min(k, self.size))
        expression = "" if allowed is None else expression_for(allowed, ROW)
        by_vector = partial(self._search, expression)
        return search_passages(by_vector, queries, k, self.size, self._record.most)

    def _search(self, expression: str, queries: NDArray[np.float32], k: int) -> Ranking:
        """Passage row and score of the best k vectors, with repeated rows where passages have several."""
        rows, scores = empty_ranking(len(queries), min(k, self._record.count))
        if not rows.size:
            return rows, scores
        for start in range(0, len(queries), QUERIES_A_REQUEST):
            block = queries[start : start + QUERIES_A_REQUEST]
            found = self._milvus.search(self._record.collection, block, rows.shape[1], self._record.kind, expression)
            for line, (of_query, of_found) in enumerate(found, start):
                rows[line, : len(of_query)] = of_query
                scores[line, : len(of_query)] = of_found
        return rows, scores


def check_count(milvus: Milvus, collection: str, expected: int) -> None:
    """Compare the rows of a loaded collection with those that belong in it.

    Raises:
        AnceError: they differ.
    """
    count = milvus.count(collection)
    if count != expected:
        raise AnceError(f"collection {collection} of Milvus holds {count} rows instead of {expected}: build it again")
