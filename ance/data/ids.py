"""From ids to rows without keeping the ids in memory: sorted 64-bit hashes, checked against the true id."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class _Run(NamedTuple):
    hashes: NDArray[np.uint64]  # [n], ascending
    rows: NDArray[np.int64]  # [n]


def hash_ids(ids: Sequence[str]) -> NDArray[np.uint64]:
    """64-bit BLAKE2b of each id: uint64 [n], the same on every machine."""
    digests = b"".join(hashlib.blake2b(one.encode(), digest_size=8).digest() for one in ids)
    return np.frombuffer(digests, "<u8").astype(np.uint64, copy=False)


class IdIndex:
    """Finds the row of an id. Costs 16 bytes an id, in memory while it grows and in a mapped file afterwards.

    While it grows it holds a few sorted runs, each at least twice as long as the next (the merge rule of a
    log-structured tree), so that a lookup is some binary searches and an insertion is amortised O(log n).

    Args:
        id_of: gives the id of a row. Two ids may share a hash, so every hit is checked against it.
    """

    def __init__(self, id_of: Callable[[int], str]) -> None:
        self._id_of = id_of
        self._runs: list[_Run] = []

    @classmethod
    def open(cls, folder: Path, id_of: Callable[[int], str]) -> IdIndex:
        """Map the index that `save` wrote."""
        index = cls(id_of)
        hashes = np.load(folder / "id_hashes.npy", mmap_mode="r", allow_pickle=False)
        rows = np.load(folder / "id_rows.npy", mmap_mode="r", allow_pickle=False)
        index._runs.append(_Run(hashes, rows))
        return index

    def save(self, folder: Path) -> None:
        """Write `id_hashes.npy` uint64 [n], ascending, and `id_rows.npy` int64 [n]."""
        while len(self._runs) > 1:
            self._merge_last_two()
        run = self._runs[0] if self._runs else _Run(np.empty(0, np.uint64), np.empty(0, np.int64))
        np.save(folder / "id_hashes.npy", run.hashes, allow_pickle=False)
        np.save(folder / "id_rows.npy", run.rows, allow_pickle=False)

    def insert(self, ids: Sequence[str], first_row: int) -> None:
        """Add ids that are new, at rows first_row, first_row + 1, ..."""
        hashes = hash_ids(ids)
        order = np.argsort(hashes, kind="stable")
        self._runs.append(_Run(hashes[order], order + first_row))
        while len(self._runs) > 1 and len(self._runs[-2].hashes) < 2 * len(self._runs[-1].hashes):
            self._merge_last_two()

    def find(self, ids: Sequence[str]) -> NDArray[np.int64]:
        """Row of each id, -1 where there is none: int64 [n]."""
        found = np.full(len(ids), -1, np.int64)
        hashes = hash_ids(ids)
        for run in self._runs:
            starts = np.searchsorted(run.hashes, hashes, "left")
            stops = np.searchsorted(run.hashes, hashes, "right")
            for position in np.flatnonzero(stops > starts).tolist():
                for row in run.rows[starts[position] : stops[position]].tolist():
                    if self._id_of(row) == ids[position]:
                        found[position] = row
        return found

    def _merge_last_two(self) -> None:
        newer, older = self._runs.pop(), self._runs.pop()
        hashes = np.concatenate([older.hashes, newer.hashes])
        order = np.argsort(hashes, kind="stable")
        self._runs.append(_Run(hashes[order], np.concatenate([older.rows, newer.rows])[order]))
