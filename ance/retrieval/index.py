"""The Faiss index of one version: built from shards as they arrive, then mapped into memory and searched."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from ance.errors import AnceError
from ance.retrieval.faiss_errors import reason
from ance.retrieval.gpu import to_gpu
from ance.retrieval.owners import Owners, search_passages
from ance.retrieval.selection import parameters_for

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
        parameters: search-time parameters by Faiss name, e.g. {"nprobe": 16}; the index file keeps them.

    Raises:
        AnceError: Faiss has no such index for inner products of this dimension, or it has no such parameter.
    """

    def __init__(
        self, factory: str, dim: int, training_vectors: int, parameters: Mapping[str, float] | None = None
    ) -> None:
        try:
            self._index = faiss.index_factory(dim, factory, faiss.METRIC_INNER_PRODUCT)
        except RuntimeError as error:
            problem = f"Faiss makes no such inner-product index of {dim} dimensions"
            raise _bad_factory(factory, problem, error) from error
        if isinstance(self._index, faiss.IndexIDMap):
            raise AnceError(f"index.factory '{factory}': drop the IDMap, ids are kept in {IDS_FILE}")
        text = ",".join(f"{name}={value:g}" for name, value in (parameters or {}).items())
        _set_parameters(self._index, text, f"index.parameters '{text}' of index.factory '{factory}'")
        self._factory = factory
        self._training_vectors = training_vectors
        self._untrained: list[NDArray[np.float32]] = []
        self._ids: list[NDArray[np.int64]] = []

    def add(self, vectors: NDArray[np.float32], ids: NDArray[np.int64]) -> None:
        """Add the vectors float32 [n, D] of the passage rows int64 [n]; those of one passage at once, side by side.

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

    def search(self, queries: NDArray[np.float32], k: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """What the finished index will find, once everything is added. See `SearchableIndex.search`.

        Raises:
            AnceError: the index cannot be trained on so few vectors.
        """
        if self._untrained:
            self._train()
        return _search(self._index, Owners(self._all_ids()), queries, k)

    def finish(self, folder: Path) -> None:
        """Write `index.faiss`, and `ids.npy`, the passage row at each position of the index.

        Raises:
            AnceError: the index cannot be trained on so few vectors.
        """
        if self._untrained:
            self._train()
        folder.mkdir(parents=True, exist_ok=True)
        faiss.write_index(self._index, str(folder / INDEX_FILE))
        np.save(folder / IDS_FILE, self._all_ids(), allow_pickle=False)

    def _all_ids(self) -> NDArray[np.int64]:
        return np.concatenate([np.empty(0, np.int64), *self._ids])

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
    """A finished index, mapped from its file: opening reads the ids only, and takes no memory of its own.

    The files may be removed while it is open.
    """

    def __init__(self, index: faiss.Index, ids: NDArray[np.int64]) -> None:
        self._index = index
        self._owners = Owners(ids)

    @classmethod
    def open(cls, folder: Path, parameters: str = "", device: str = "cpu") -> PassageIndex:
        """Open the index that `IndexBuilder.finish` wrote to a folder.

        Args:
            folder: holds index.faiss and ids.npy.
            parameters: Faiss search-time parameters instead of those saved with the index, e.g. `nprobe=16` or
                `efSearch=128`.
            device: `cpu`, or `cuda` to copy the index to the first GPU.

        Raises:
            AnceError: a file is missing or damaged, the index has no such parameter, or it can't be put on a GPU.
        """
        try:
            index = faiss.read_index(str(folder / INDEX_FILE), faiss.IO_FLAG_MMAP_IFC)
            ids = np.load(folder / IDS_FILE, mmap_mode="r", allow_pickle=False)
        except (RuntimeError, OSError, EOFError, ValueError) as error:
            raise AnceError(f"{folder}: cannot read the index, fetch or build it again: {reason(error)}") from error
        if index.ntotal != len(ids):
            problem = f"{INDEX_FILE} holds {index.ntotal} vectors, {IDS_FILE} {len(ids)} ids"
            raise AnceError(f"{folder}: {problem}, fetch or build them again")
        _set_parameters(index, parameters, f"index parameters '{parameters}'")
        return cls(index if device == "cpu" else to_gpu(index), ids)

    @property
    def size(self) -> int:
        """Number of passages."""
        return self._owners.passages

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return int(self._index.d)

    def search(
        self, queries: NDArray[np.float32], k: int, allowed: NDArray[np.bool_] | None = None
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """See `SearchableIndex.search`.

        Raises:
            AnceError: this kind of index cannot be searched in part.
        """
        if allowed is None:
            return _search(self._index, self._owners, queries, k)
        parameters = parameters_for(self._index, allowed[self._owners.rows])
        try:
            return _search(self._index, self._owners, queries, k, params=parameters)
        except RuntimeError as error:
            kind = type(faiss.downcast_index(self._index)).__name__
            raise AnceError(f"an index of kind {kind} cannot be searched in part: {reason(error)}") from error


def _search(
    index: faiss.Index, owners: Owners, queries: NDArray[np.float32], k: int, **options: Any
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    def by_vector(some: NDArray[np.float32], depth: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        depth = min(depth, len(owners.rows))
        if depth == 0:
            return np.empty((len(some), 0), np.int64), np.empty((len(some), 0), np.float32)
        scores, positions = index.search(some, depth, **options)
        found = positions >= 0
        return np.where(found, owners.rows[positions], -1), np.where(found, scores, np.float32(-np.inf))

    return search_passages(by_vector, queries, k, owners.passages, owners.most)


def _set_parameters(index: faiss.Index, parameters: str, what: str) -> None:
    try:
        faiss.ParameterSpace().set_index_parameters(index, parameters)  # type: ignore[arg-type]
    except RuntimeError as error:
        raise AnceError(f"{what}: {reason(error)}") from error


def _bad_factory(factory: str, problem: str, error: RuntimeError) -> AnceError:
    return AnceError(f"index.factory '{factory}': {problem}: {reason(error)}")
