"""The index that ADORE trains the query encoder against: fetched once, searched at each step."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ance.negatives.live import Retrieve
from ance.negatives.sampling import Rows
from ance.retrieval.interfaces import SearchableIndex
from ance.runtime.artifacts import fetch
from ance.runtime.contracts import ArtifactRef, Kind, Part
from ance.runtime.holds import VersionHold
from ance.runtime.index_backend import IndexBackend
from ance.runtime.layout import RunLayout
from ance.runtime.metrics import TrainerMetrics
from ance.runtime.store import Store
from ance.training.fixed_passages import FixedPassages

LOOK_SECONDS = 0.5
"""How often an index that is waited for is looked for."""

QueryVectors = Callable[[Rows], NDArray[np.float32]]
"""Vectors float32 [B, D] of training queries, with the weights of the moment."""


@dataclass(frozen=True, slots=True)
class LiveIndex:
    """An index and the vectors of the passages in it."""

    index: SearchableIndex
    passages: FixedPassages

    def ranked_by(self, query_vectors: QueryVectors) -> Retrieve:
        """Ranks the corpus for the queries of a batch as the model sees them when it is asked."""

        def retrieve(rows: Rows, depth: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
            return self.index.search(query_vectors(rows), min(depth, self.index.size))

        return retrieve


@dataclass(frozen=True, slots=True)
class LiveIndexes:
    """Where a live index comes from. Every version of its stage has the same passage vectors, so any will do."""

    store: Store
    layout: RunLayout
    hold: VersionHold
    backend: Callable[[], IndexBackend]
    """Opened only where there is a live index to open: other stages need no settings of an engine."""
    cache: Path
    metrics: TrainerMetrics

    def wait_from(self, step: int, stop: Callable[[], bool]) -> ArtifactRef | None:
        """Wait for an index of checkpoint `step` or newer: the newest. None where `stop` says so before."""
        self.metrics.waiting.set(1)
        try:
            while not stop():
                ref = self.store.read_pointer(self.layout.pointer("index"))
                if ref is not None and ref.step >= step:
                    return ref
                time.sleep(LOOK_SECONDS)
            return None
        finally:
            self.metrics.waiting.set(0)

    def open(self, ref: ArtifactRef, passages_step: int) -> LiveIndex:
        """Fetch and open an index, with the passages that were encoded for version `passages_step`.

        Raises:
            ArtifactNotFound: one of them is gone, or about to go.
            CorruptArtifact: what is stored is not what was published.
        """
        with self.hold.holding((Kind.INDEX, ref.step), (Kind.EMBEDDINGS, passages_step)):
            index = self.backend().open(fetch(self.store, ref, self.cache))
            vectors = fetch(self.store, self.layout.embeddings(passages_step), self.cache)
            return LiveIndex(index, FixedPassages.open(vectors / Part.PASSAGES.value))
