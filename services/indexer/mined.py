"""What a pass over the corpus has come to, whoever has mined it: one process, or several with a range each."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ance.evaluation.overlap import overlap
from ance.retrieval.merging import Ranking
from ance.runtime.contracts import FileEntry, Part

PROBE_DEPTH = 10
"""The recall probe asks for this many passages: what a person reads."""


class Mined(Protocol):
    """Rankings of the queries, and an index of the passages."""

    @property
    def vectors(self) -> int:
        """Vectors in the index: at least one a passage."""

    def ranking(self, part: Part) -> Ranking:
        """Passage rows and scores by rank for every query of a part, int64 and float32 [Q, k]."""

    def recall_probe(self) -> dict[str, Any]:
        """How much of exact search the index finds, see `recall`; {} without queries."""

    def neighbours_of_positives(self) -> NDArray[np.int64] | None:
        """The passages next to the positive of each training query, int64 [Q, k], if they are asked for."""

    def finish(self, folder: Path) -> tuple[FileEntry, ...]:
        """Write what is published of the index into a folder. Returns what of it is in the store already."""


def probe_part(rows: dict[Part, int]) -> Part | None:
    """The queries that the recall probe asks: those of the dev split, else those of training."""
    return next((part for part in (Part.DEV_QUERIES, Part.TRAIN_QUERIES) if rows[part]), None)


def recall(exact: NDArray[np.int64], found: NDArray[np.int64]) -> dict[str, Any]:
    """How much of exact search the index finds.

    Args:
        exact: passage rows by exact search, int64 [Q, at least PROBE_DEPTH].
        found: passage rows that the index gives, int64 [Q, at most PROBE_DEPTH].

    Returns:
        {"queries", "k", "recall"}, recall the mean share of the exact top k that is among the index's.
    """
    share = round(overlap(exact[:, :PROBE_DEPTH], found), 4)
    return {"queries": len(found), "k": PROBE_DEPTH, "recall": share}
