"""Passages that a data set came with for its queries, such as MS MARCO's top 1000, by query row."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ance.data.invalid import InvalidTally
from ance.data.records import Candidate, Invalid, Located, Reason
from ance.data.references import References, named


class Candidates(NamedTuple):
    """In compressed sparse rows: those of query row q are entries indptr[q] to indptr[q + 1], best first, distinct."""

    indptr: NDArray[np.int64]  # [Q + 1]
    passages: NDArray[np.int64]  # [candidates], passage rows

    @classmethod
    def build(cls, rows: int, query_rows: NDArray[np.int64], passages: NDArray[np.int64]) -> Candidates:
        """From the candidates [n] of `rows` queries in any order of the queries; a repeated one counts once."""
        by_query = np.lexsort((np.arange(len(passages)), passages, query_rows))
        q, p = query_rows[by_query], passages[by_query]
        repeated = np.zeros(len(q), np.bool_)
        repeated[1:] = (q[1:] == q[:-1]) & (p[1:] == p[:-1])
        first = np.sort(by_query[~repeated])
        kept = first[np.argsort(query_rows[first], kind="stable")]
        indptr = np.zeros(rows + 1, np.int64)
        np.cumsum(np.bincount(query_rows[kept], minlength=rows), out=indptr[1:])
        return cls(indptr, passages[kept])

    @classmethod
    def open(cls, folder: Path) -> Candidates | None:
        """Map what `save` wrote; None where nothing was written."""
        if not (folder / "indptr.npy").is_file():
            return None
        return cls(*(np.load(folder / f"{field}.npy", mmap_mode="r", allow_pickle=False) for field in cls._fields))

    def save(self, folder: Path) -> None:
        """Write one .npy file a field."""
        folder.mkdir(parents=True)
        for field, values in self._asdict().items():
            np.save(folder / f"{field}.npy", values, allow_pickle=False)

    def padded(self, most: int | None = None) -> NDArray[np.int64]:
        """Passage rows int64 [Q, longest list, or `most` if that is less], best first, padded with -1."""
        counts = np.diff(self.indptr)
        columns = np.arange(len(self.passages)) - np.repeat(self.indptr[:-1], counts)
        width = int(counts.max(initial=0)) if most is None else min(most, int(counts.max(initial=0)))
        padded = np.full((len(counts), width), -1, np.int64)
        kept = columns < width
        padded[np.repeat(np.arange(len(counts)), counts)[kept], columns[kept]] = self.passages[kept]
        return padded


class GivenCandidates:
    """Collects the candidates of a split. Memory grows by 16 bytes a candidate.

    Args:
        queries: of the split. Candidates of other queries are left out: files often serve several splits.
        passages: the corpus.
        tally: is told of candidates that are no passage of the corpus.
    """

    def __init__(self, queries: References, passages: References, tally: InvalidTally) -> None:
        self._queries = queries
        self._passages = passages
        self._tally = tally
        self._query_rows = array("q")
        self._passage_rows = array("q")
        self.seen = 0
        """Candidates that were offered, of any query."""

    def __len__(self) -> int:
        return len(self._query_rows)

    def add(self, batch: Sequence[Located[Candidate]]) -> None:
        """Add the valid candidates of a batch.

        Raises:
            AnceError: one is no passage of the corpus, and the tally does not leave such out.
        """
        self.seen += len(batch)
        queries = self._queries.rows([located.record.query for located in batch])
        passages = self._passages.rows([located.record.passage for located in batch])
        for query, passage, (candidate, where) in zip(queries.tolist(), passages.tolist(), batch, strict=True):
            if query < 0:
                continue
            if passage < 0:
                detail = f"no passage of the corpus has the {named(candidate.passage)}"
                self._tally.report(Invalid(Reason.UNKNOWN_PASSAGE, where, detail))
                continue
            self._query_rows.append(query)
            self._passage_rows.append(passage)

    def build(self, rows: int) -> Candidates:
        """Those of `rows` queries."""
        return Candidates.build(rows, np.array(self._query_rows, np.int64), np.array(self._passage_rows, np.int64))
