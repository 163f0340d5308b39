"""What an index can do, whoever keeps its vectors: Faiss in this process, or an engine on other machines."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class SearchableIndex(Protocol):
    """A finished index of inner products. A passage with several vectors scores as much as the best of them."""

    @property
    def size(self) -> int:
        """Number of passages."""

    @property
    def dim(self) -> int:
        """Length of a vector."""

    def search(
        self, queries: NDArray[np.float32], k: int, allowed: NDArray[np.bool_] | None = None
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """The passages with the largest inner product with each query.

        Args:
            queries: float32 [n, D].
            k: passages to return for a query, at most the size of the index.
            allowed: passages that may be found, bool [passages] by passage row (None: all).

        Returns:
            Distinct passage rows int64 [n, k] and scores float32 [n, k], best first. Where fewer than k are found, the
            rest is -1 and -inf.

        Raises:
            AnceError: this index cannot be searched in part, or not so.
            TemporaryError: the engine that keeps it does not answer.
        """


class GrowingIndex(Protocol):
    """An index that takes vectors as they come. Shards may come in any order."""

    def add(self, vectors: NDArray[np.float32], ids: NDArray[np.int64]) -> None:
        """Add the vectors float32 [n, D] of the passage rows int64 [n]; those of one passage at once, side by side."""

    def search(self, queries: NDArray[np.float32], k: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """What the finished index will find, once everything is added. See `SearchableIndex.search`."""

    def finish(self, folder: Path) -> None:
        """Write what is published of it, from which it is opened, into a folder."""
