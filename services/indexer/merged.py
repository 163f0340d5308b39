"""What several indexers have mined in their ranges, as if one had mined it all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ance.retrieval.merging import Ranking, merge_rankings
from ance.retrieval.ranged_index import save_ranges
from ance.runtime.contracts import FileEntry, Part
from services.indexer.mined import PROBE_DEPTH, probe_part, recall
from services.indexer.ranges import PROBE, RangeStore


class MergedRanges:
    """Rankings are read and merged when they are asked for; the indexes of the ranges stay where they are.

    Args:
        store: of the pass, with all its ranges.
        rows: rows of each part.
    """

    def __init__(self, store: RangeStore, rows: dict[Part, int]) -> None:
        self._store = store
        self._rows = rows
        self._ranges = [store.read(number) for number in range(store.ranges)]
        self._merged: dict[str, Ranking] = {}

    @property
    def vectors(self) -> int:
        """See `Mined`."""
        return sum(mined.vectors for mined in self._ranges)

    @property
    def seconds(self) -> float:
        """Of merging and indexing by the range that took longest."""
        return max(mined.seconds for mined in self._ranges)

    @property
    def shards(self) -> list[FileEntry]:
        """Each shard of the pass once, by its path in the embeddings: those of queries were read in every range."""
        return list({entry.path: entry for mined in self._ranges for entry in mined.shards}.values())

    def ranking(self, part: Part) -> Ranking:
        """See `Mined`: of exact search, to the bit what one process finds."""
        return self._ranking(part.value)

    def recall_probe(self) -> dict[str, Any]:
        """See `Mined`."""
        part = probe_part(self._rows)
        if part is None:
            return {}
        found, _ = self._ranking(PROBE)
        return recall(self.ranking(part)[0][: len(found)], found[:, :PROBE_DEPTH])

    def neighbours_of_positives(self) -> NDArray[np.int64] | None:
        """None: they would need the whole index in one place."""
        return None

    def finish(self, folder: Path) -> tuple[FileEntry, ...]:
        """See `Mined`: the indexes of the ranges are the index."""
        save_ranges(folder, [mined.folder for mined in self._ranges])
        return tuple(
            entry.model_copy(update={"path": f"{mined.folder}/{entry.path}"})
            for mined in self._ranges
            for entry in mined.index
        )

    def _ranking(self, name: str) -> Ranking:
        if name not in self._merged:
            rankings = [self._store.read_ranking(mined, name) for mined in self._ranges]
            self._merged[name] = merge_rankings(rankings, max(rows.shape[1] for rows, _ in rankings))
        return self._merged[name]
