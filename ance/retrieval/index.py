"""The Faiss index of one version: built from shards as they arrive, then mapped into memory and searched."""

from __future__ import annotations

import re
from pathlib import Path

import faiss
import numpy as np
from numpy.typing import NDArray

from ance.errors import AnceError

INDEX_FILE = "index.faiss"
IDS_FILE = "ids.npy"


class IndexBuilder:
    """Builds an inner-product index. Shards may come in any order.

    An index that has to be trained (IVF, PQ) is trained on the first `training_vectors` vectors to arrive, or on
    all if there are fewer; until then vectors are held in memory. Others hold nothing back.

    Args:
        factory: a Faiss index_factory string.
        dim: length of a vector.
        training_vectors: vectors to train on.

    Raises:
        AnceError: Faiss has no such index for inner products of this dimension.
    """

    def __init__(self, factory: str, dim: int, training_vectors: int) -> None:
        try:
            self._index = faiss.index_factory(dim, factory, faiss.METRIC_INNER_PRODUCT)
        except RuntimeError as error:
            problem = f"Faiss makes no such inner-product index of {dim} dimensions"
            raise _bad_factory(factory, problem, error) from error
        if isinstance(self._index, faiss.IndexIDMap):
            raise AnceError(f"index.factory '{factory}': drop the IDMap, ids are kept in {IDS_FILE}")
        self._factory = factory
        self._training_vectors = training_vectors
        self._untrained: list[NDArray[np.float32]] = []
        self._ids: list[NDArray[np.int64]] = []

    def add(self, vectors: NDArray[np.float32], ids: NDArray[np.int64]) -> None:
        """Add the vectors float32 [n, D] of the passage rows int64 [n].

        Raises:
            AnceError: the index cannot be trained on `training_vectors` vectors.
        """
        if len(vectors) != len(ids):
            raise ValueError(f"{len(vectors)} vectors came with {len(ids)} ids")
        self._ids.append(ids)
        if self._index.is_trained:
            self._index.add(vectors)
            return
        self._untrained.append(vectors)
        if sum(map(len, self._untrained)) >= self._training_vectors:
            self._train()

    def finish(self, folder: Path) -> None:
        """Write `index.faiss`, and `ids.npy`, the passage row at each position of the index.

        Raises:
            AnceError: the index cannot be trained on so few vectors.
        """
        if self._untrained:
            self._train()
        folder.mkdir(parents=True, exist_ok=True)
        faiss.write_index(self._index, str(folder / INDEX_FILE))
        np.save(folder / IDS_FILE, np.concatenate([np.empty(0, np.int64), *self._ids]), allow_pickle=False)

    def _train(self) -> None:
        vectors = np.concatenate(self._untrained)
        self._untrained.clear()
        try:
            self._index.train(vectors[: self._training_vectors])
        except RuntimeError as error:
            count = min(len(vectors), self._training_vectors)
            problem = f"cannot be trained on {count} vectors (index.training_vectors)"
            raise _bad_factory(self._factory, problem, error) from error
        self._index.add(vectors)


class PassageIndex:
    """A finished index, mapped from its file: opening is instant and takes no memory of its own.

    The files may be removed while it is open.
    """

    def __init__(self, index: faiss.Index, ids: NDArray[np.int64]) -> None:
        self._index = index
        self._ids = ids

    @classmethod
    def open(cls, folder: Path, parameters: str = "") -> PassageIndex:
        """Open the index that `IndexBuilder.finish` wrote to a folder.

        Args:
            folder: holds index.faiss and ids.npy.
            parameters: Faiss search-time parameters, e.g. `nprobe=16` or `efSearch=128`.

        Raises:
            AnceError: a file is missing or damaged, or the index has no such parameter.
        """
        try:
            index = faiss.read_index(str(folder / INDEX_FILE), faiss.IO_FLAG_MMAP_IFC)
            ids = np.load(folder / IDS_FILE, mmap_mode="r", allow_pickle=False)
        except (RuntimeError, OSError, EOFError, ValueError) as error:
            raise AnceError(f"{folder}: cannot read the index, fetch or build it again: {_reason(error)}") from error
        if index.ntotal != len(ids):
            problem = f"{INDEX_FILE} holds {index.ntotal} vectors, {IDS_FILE} {len(ids)} ids"
            raise AnceError(f"{folder}: {problem}, fetch or build them again")
        try:
            faiss.ParameterSpace().set_index_parameters(index, parameters)  # type: ignore[arg-type]
        except RuntimeError as error:
            raise AnceError(f"index parameters '{parameters}': {_reason(error)}") from error
        return cls(index, ids)

    @property
    def size(self) -> int:
        """Number of passages."""
        return len(self._ids)

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return int(self._index.d)

    def search(self, queries: NDArray[np.float32], k: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """The passages with the largest inner product with each query.

        Args:
            queries: float32 [n, D].
            k: passages to return for a query, at most the size of the index.

        Returns:
            Passage rows int64 [n, k] and scores float32 [n, k], best first. Where an approximate index finds fewer
            than k, the rest is -1 and -inf.
        """
        k = min(k, self.size)
        if k == 0:
            return np.empty((len(queries), 0), np.int64), np.empty((len(queries), 0), np.float32)
        scores, positions = self._index.search(queries, k)
        found = positions >= 0
        return np.where(found, self._ids[positions], -1), np.where(found, scores, np.float32(-np.inf))


def _bad_factory(factory: str, problem: str, error: RuntimeError) -> AnceError:
    return AnceError(f"index.factory '{factory}': {problem}: {_reason(error)}")


def _reason(error: Exception) -> str:
    """What Faiss says, on one line, without the C++ function and file that it names first."""
    return re.sub(r"^Error in .*? at \S+:\d+: (Error: )?", "", " ".join(str(error).split()))
