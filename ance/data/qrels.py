"""Relevance judgements of a split, by query row."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Qrels(NamedTuple):
    """All judgements in compressed sparse rows. Those of query row q are entries indptr[q] to indptr[q + 1].

    Within a query, passage rows ascend.
    """

    indptr: NDArray[np.int64]  # [Q + 1]
    passages: NDArray[np.int64]  # [judgements], passage rows
    grades: NDArray[np.int32]  # [judgements]

    @classmethod
    def build(
        cls, rows: int, query_rows: NDArray[np.int64], passages: NDArray[np.int64], grades: NDArray[np.int32]
    ) -> Qrels:
        """From unordered judgements [judgements] of `rows` queries."""
        order = np.lexsort((passages, query_rows))
        indptr = np.zeros(rows + 1, np.int64)
        np.cumsum(np.bincount(query_rows, minlength=rows), out=indptr[1:])
        return cls(indptr, passages[order], grades[order])

    @classmethod
    def open(cls, folder: Path) -> Qrels:
        """Map what `save` wrote."""
        return cls(*(np.load(folder / f"{field}.npy", mmap_mode="r", allow_pickle=False) for field in cls._fields))

    def save(self, folder: Path) -> None:
        """Write one .npy file a field."""
        for field, values in self._asdict().items():
            np.save(folder / f"{field}.npy", values, allow_pickle=False)

    def head(self, queries: int) -> Qrels:
        """The judgements of the first `queries` query rows."""
        end = self.indptr[queries]
        return Qrels(self.indptr[: queries + 1], self.passages[:end], self.grades[:end])

    @property
    def queries(self) -> int:
        """Number of query rows."""
        return len(self.indptr) - 1

    def positives(self, query_row: int, min_grade: int = 1) -> NDArray[np.int64]:
        """Passage rows that are relevant to a query: int64 [positives], ascending."""
        judged = slice(self.indptr[query_row], self.indptr[query_row + 1])
        return self.passages[judged][self.grades[judged] >= min_grade]

    def positive_counts(self, min_grade: int = 1) -> NDArray[np.int64]:
        """Number of relevant passages of each query: int64 [Q]."""
        before = np.zeros(len(self.grades) + 1, np.int64)
        np.cumsum(self.grades >= min_grade, out=before[1:])
        return np.diff(before[self.indptr])

    def padded_positives(self, rows: NDArray[np.int64], min_grade: int = 1) -> NDArray[np.int64]:
        """Relevant passage rows of the given query rows: int64 [len(rows), most], padded with -1."""
        starts, stops = self.indptr[rows], self.indptr[rows + 1]
        lengths = stops - starts
        lines = np.repeat(np.arange(len(rows)), lengths)
        entries = np.arange(lengths.sum()) + np.repeat(stops - np.cumsum(lengths), lengths)
        relevant = self.grades[entries] >= min_grade
        lines, entries = lines[relevant], entries[relevant]
        counts = np.bincount(lines, minlength=len(rows))
        columns = np.arange(len(lines)) - np.repeat(np.cumsum(counts) - counts, counts)
        padded = np.full((len(rows), counts.max(initial=0)), -1, np.int64)
        padded[lines, columns] = self.passages[entries]
        return padded
