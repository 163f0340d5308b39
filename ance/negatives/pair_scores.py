"""What a cross-encoder says of pairs of a training query and a passage, to be looked up by pair."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ance.negatives.sampling import Rows, Scores

PAIRS, SCORES = "pairs.npy", "scores.npy"
_PASSAGES = 2**32  # more than a corpus has


def pairs_of(query_rows: Rows, passage_rows: Rows) -> NDArray[np.int64]:
    """Each pair as one number, query row * 2^32 + passage row.

    Args:
        query_rows: int64 [Q].
        passage_rows: int64 [Q, k], of each query, padded with -1.

    Returns:
        int64 [Q, k], -1 where padded.
    """
    return np.where(passage_rows < 0, -1, query_rows[:, None] * _PASSAGES + passage_rows)


def rows_of(pairs: NDArray[np.int64]) -> tuple[Rows, Rows]:
    """Query rows and passage rows, int64 [n] each, of pairs int64 [n]."""
    query_rows, passage_rows = np.divmod(pairs, _PASSAGES)
    return query_rows, passage_rows


@dataclass(frozen=True, slots=True)
class PairScores:
    """Scores of n pairs.

    Attributes:
        pairs: as `pairs_of` has them, int64 [n], ascending and distinct.
        scores: float32 [n], logits: any number, larger is more relevant.
    """

    pairs: NDArray[np.int64]
    scores: Scores

    @classmethod
    def of(cls, pairs: NDArray[np.int64], scores: Scores) -> PairScores:
        """From pairs in any order, int64 [n]; of one that is there twice the first score counts."""
        distinct, first = np.unique(pairs, return_index=True)
        return cls(distinct, scores[first])

    @classmethod
    def none(cls) -> PairScores:
        """Of no pair."""
        return cls(np.empty(0, np.int64), np.empty(0, np.float32))

    def __len__(self) -> int:
        return len(self.pairs)

    def look_up(self, pairs: NDArray[np.int64]) -> Scores:
        """Scores of pairs, float32 in the shape given, NaN for those that are not known."""
        if not len(self):
            return np.full(pairs.shape, np.nan, np.float32)
        place = np.minimum(np.searchsorted(self.pairs, pairs), len(self) - 1)
        return np.where(self.pairs[place] == pairs, self.scores[place], np.float32(np.nan))

    def missing(self, pairs: NDArray[np.int64]) -> NDArray[np.int64]:
        """The pairs that are not known, int64 [m], ascending and distinct; padding is none."""
        return np.setdiff1d(pairs[pairs >= 0], self.pairs)

    def only(self, pairs: NDArray[np.int64]) -> PairScores:
        """Those of some pairs, as far as they are known."""
        wanted = np.isin(self.pairs, pairs)
        return PairScores(self.pairs[wanted], self.scores[wanted])

    def and_also(self, other: PairScores) -> PairScores:
        """Both; of a pair that both know, this score."""
        return PairScores.of(np.concatenate([self.pairs, other.pairs]), np.concatenate([self.scores, other.scores]))

    def margins(self, query_rows: Rows, positive_rows: Rows, negative_rows: Rows) -> Scores:
        """By how much each positive scores above each negative of its query.

        Args:
            query_rows: int64 [B].
            positive_rows: int64 [B].
            negative_rows: int64 [B, N].

        Returns:
            float32 [B, N], NaN where one of the two is not known.
        """
        positive = self.look_up(pairs_of(query_rows, positive_rows[:, None]))
        return positive - self.look_up(pairs_of(query_rows, negative_rows))

    def save(self, folder: Path, prefix: str = "") -> None:
        """Write two .npy files."""
        np.save(folder / f"{prefix}{PAIRS}", self.pairs, allow_pickle=False)
        np.save(folder / f"{prefix}{SCORES}", self.scores, allow_pickle=False)

    @classmethod
    def open(cls, folder: Path, prefix: str = "") -> PairScores:
        """Memory-map what was saved.

        Raises:
            FileNotFoundError: nothing was.
        """
        files = (folder / f"{prefix}{name}" for name in (PAIRS, SCORES))
        return cls(*(np.load(file, mmap_mode="r", allow_pickle=False) for file in files))
