"""An index in several parts, each of a range of the passages: built side by side, searched as one."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ance.retrieval.index import PassageIndex
from ance.retrieval.interfaces import SearchableIndex
from ance.retrieval.merging import Ranking, merge_rankings

RANGES_FILE = "ranges.json"
"""Lists the folders of the parts, in the order of their passages."""


class RangedIndex:
    """Every part is asked, and the best of all answers are the answer.

    Args:
        parts: no passage is in two of them.
    """

    def __init__(self, parts: Sequence[SearchableIndex]) -> None:
        self._parts = parts

    @property
    def size(self) -> int:
        """Number of passages."""
        return sum(part.size for part in self._parts)

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return self._parts[0].dim

    def search(self, queries: NDArray[np.float32], k: int, allowed: NDArray[np.bool_] | None = None) -> Ranking:
        """See `SearchableIndex.search`."""
        return merge_rankings([part.search(queries, k, allowed) for part in self._parts], min(k, self.size))


def save_ranges(folder: Path, parts: Sequence[str]) -> None:
    """Write what `open_index` needs to find the parts: their folders, relative to this one."""
    (folder / RANGES_FILE).write_text(json.dumps(list(parts)))


def open_index(folder: Path, device: str = "cpu") -> PassageIndex | RangedIndex:
    """Open the index in a folder, be it in one part or in several.

    Raises:
        AnceError: see `PassageIndex.open`.
    """
    listed = folder / RANGES_FILE
    if not listed.is_file():
        return PassageIndex.open(folder, device=device)
    parts: list[str] = json.loads(listed.read_text())
    return RangedIndex([PassageIndex.open(folder / part, device=device) for part in parts])
