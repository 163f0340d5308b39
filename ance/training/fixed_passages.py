"""Passage vectors that no longer change, as a refresh has left them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ance.errors import AnceError
from ance.negatives.sampling import Rows


class FixedPassages:
    """The vectors of all passages, in shards of consecutive rows that are mapped into memory.

    Args:
        shards: float32 [rows of the shard, D] each, in the order of their rows.
    """

    def __init__(self, shards: Sequence[NDArray[np.float32]]) -> None:
        self._shards = shards
        self._starts = np.cumsum([0, *(len(shard) for shard in shards)])

    @classmethod
    def open(cls, folder: Path) -> FixedPassages:
        """Map the shards of a folder, `0.npy` and on.

        Raises:
            AnceError: there are none.
        """
        paths = sorted(folder.glob("*.npy"), key=lambda path: int(path.stem))
        if not paths:
            raise AnceError(f"{folder}: no vectors of passages here")
        return cls([np.load(path, mmap_mode="r", allow_pickle=False) for path in paths])

    def __len__(self) -> int:
        return int(self._starts[-1])

    def vectors(self, rows: Rows) -> NDArray[np.float32]:
        """The vectors of some passages (int64 [n]), float32 [n, D], in their order."""
        shards = np.searchsorted(self._starts, rows, side="right") - 1
        found = np.empty((len(rows), self._shards[0].shape[1]), np.float32)
        for shard in np.unique(shards).tolist():
            here = shards == shard
            found[here] = self._shards[shard][rows[here] - self._starts[shard]]
        return found
