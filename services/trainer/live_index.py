"""The index that ADORE trains the query encoder against: fetched once, searched at each step."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from ance.negatives.live import Retrieve
from ance.negatives.sampling import Number, Rows
from ance.retrieval.interfaces import SearchableIndex
from ance.runtime.artifacts import fetch
from ance.runtime.contracts import ArtifactRef, Kind, Part
from ance.runtime.holds import VersionHold
from ance.runtime.index_backend import IndexBackend
from ance.runtime.layout import RunLayout
from ance.runtime.metrics import TrainerMetrics
from ance.runtime.store import Store
from ance.training.data_parallel import DataParallel
from ance.training.fixed_passages import FixedPassages
from services.trainer.ranks import Ranks

INDEX = "index"
"""On the board: the index that all ranks search."""
LOOK_SECONDS = 0.5
"""How often an index that is waited for is looked for."""

QueryVectors = Callable[[Rows], NDArray[np.float32]]
"""Vectors float32 [B, D] of training queries, with the weights of the moment."""


@dataclass(frozen=True, slots=True)
class LiveIndex:
    """An index and the vectors of the passages in it."""

    index: SearchableIndex
    passages: FixedPassages

    def ranked_by(self, query_vectors: QueryVectors, parallel: DataParallel) -> Retrieve:
        """Ranks the corpus for the queries of a batch as the model sees them when it is asked.

        Each process searches for its part of the batch, and all get the ranking of the whole: they draw from the same
        bits, also where an approximate search or a GPU of another kind would make them differ.
        """

        def retrieve(rows: Rows, depth: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
            own = rows.reshape(parallel.size, -1)[parallel.rank]
            ids, scores = self.index.search(query_vectors(own), min(depth, self.index.size))
            return _of_all(ids, parallel), _of_all(scores, parallel)

        return retrieve


@dataclass(frozen=True, slots=True)
class LiveIndexes:
    """Where a live index comes from. Every version of its stage has the same passage vectors, so any will do."""

    store: Store
    layout: RunLayout
    ranks: Ranks
    hold: VersionHold
    backend: Callable[[], IndexBackend]
    """Opened only where there is a live index to open: other stages need no settings of an engine."""
    cache: Path
    metrics: TrainerMetrics

    def wait_from(self, step: int, stop: Callable[[], bool]) -> ArtifactRef | None:
        """Wait for an index of checkpoint `step` or newer: the newest. None where `stop` says so before.

        Rank 0 chooses, and the others are told: an approximate index finds other passages than the next version's.

        Raises:
            PeerLost: rank 0 is gone.
        """
        self.metrics.waiting.set(1)
        try:
            if not self.ranks.leads:
                chosen = self.ranks.told(INDEX, stop)
                return None if chosen is None else ArtifactRef.model_validate_json(chosen)
            while not stop():
                ref = self.store.read_pointer(self.layout.pointer("index"))
                if ref is not None and ref.step >= step:
                    self.ranks.post(INDEX, ref.model_dump_json())
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


def _of_all(part: NDArray[Number], parallel: DataParallel) -> NDArray[Number]:
    """The parts of all processes below each other: [n, k] -> [size * n, k]."""
    whole: NDArray[Number] = parallel.gather(torch.from_numpy(part)).flatten(0, 1).numpy()
    return whole
