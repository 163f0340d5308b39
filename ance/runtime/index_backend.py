"""Where a run's indexes are kept: in files that Faiss maps, or in Milvus."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from ance.retrieval.config import IndexConfig
from ance.retrieval.interfaces import GrowingIndex, SearchableIndex
from ance.runtime.layout import RunLayout
from ance.runtime.milvus.settings import MilvusSettings
from ance.runtime.store import Store
from ance.runtime.store.retries import Wait

if TYPE_CHECKING:
    from ance.retrieval.index import IndexBuilder

NewIndex = Callable[[int], GrowingIndex]
"""Begins an index of vectors of so many dimensions."""


class IndexBackend(Protocol):
    """Builds and opens the indexes of one run."""

    def build(self, dim: int, *, step: int, token: int) -> GrowingIndex:
        """Begin the index of a version.

        Args:
            dim: length of a vector.
            step: of the version.
            token: fencing token of the lease under which it is built.
        """

    def open(self, folder: Path) -> SearchableIndex:
        """Open the index whose artifact was fetched to a folder.

        Raises:
            AnceError: it is missing or damaged.
            TemporaryError: the engine that keeps it does not answer; the index may be sound.
        """

    def tidy(self) -> None:
        """After a version was published, or some were deleted: forget what no version needs."""


@dataclass(frozen=True, slots=True)
class FaissBackend:
    """Indexes in files of their artifacts.

    Args:
        config: index section of the run's configuration.
        device: where to search: `cpu`, or `cuda`.
    """

    config: IndexConfig
    device: str = "cpu"

    def build(self, dim: int, *, step: int, token: int) -> IndexBuilder:
        """See `IndexBuilder`."""
        from ance.retrieval.index import IndexBuilder

        config = self.config
        return IndexBuilder(config.factory, dim, config.training_vectors, config.parameters)

    def open(self, folder: Path) -> SearchableIndex:
        """See `open_index`."""
        from ance.retrieval.ranged_index import open_index

        return open_index(folder, device=self.device)

    def tidy(self) -> None:
        """Nothing: an index goes with the files of its artifact."""


def index_backend(
    config: IndexConfig,
    settings: MilvusSettings,
    store: Store,
    layout: RunLayout,
    *,
    device: str = "cpu",
    wait: Wait = time.sleep,
) -> IndexBackend:
    """The backend that a run's configuration names.

    Args:
        config: index section of the run's configuration.
        settings: how to reach Milvus, if it is that.
        store: of the run.
        layout: of the run.
        device: where Faiss searches.
        wait: waits between two tries while Milvus is away.

    Raises:
        AnceError: Milvus is named, but the settings are not enough, or its package is missing.
    """
    if config.backend == "faiss":
        return FaissBackend(config, device)
    from ance.runtime.milvus.backend import MilvusBackend

    return MilvusBackend(config, settings, store, layout, wait)


def faiss_device(device: str) -> str:
    """Where Faiss searches beside an encoder on a torch device: on the GPU, if Faiss can use it (the `gpu` extra)."""
    if not device.startswith("cuda"):
        return "cpu"
    from ance.retrieval.gpu import gpus

    return "cuda" if gpus() else "cpu"
