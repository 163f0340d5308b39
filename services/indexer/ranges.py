"""A corpus in ranges of passages, which several indexers mine side by side."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain, pairwise, zip_longest
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ance.errors import AnceError
from ance.retrieval.merging import Ranking
from ance.runtime.artifacts import CorruptArtifact
from ance.runtime.artifacts.manifests import local_entry
from ance.runtime.contracts import Contract, EncodeTask, FileEntry, Part, RunConfig
from ance.runtime.store import Store

PROBE = "probe"
"""Name of the ranking that the recall probe got from the index itself."""


class MinedRange(Contract):
    """What came of one range. Written last, if absent: of two that have mined it, the first counts."""

    folder: str
    """Relative to the index, with forward slashes."""
    index: tuple[FileEntry, ...]
    """Files of the range's index, by their path in the folder."""
    rankings: tuple[FileEntry, ...]
    """Files of the rankings, by their path in the folder."""
    shards: tuple[FileEntry, ...]
    """Shards of queries and passages that were read, by their path in the embeddings."""
    vectors: int
    seconds: float
    """Of merging and indexing, on one processor."""


def check_ranges(ranges: int, config: RunConfig) -> None:
    """Refuse what cannot be mined in ranges.

    Raises:
        AnceError: the run needs the whole index in one process, or leaves the index to Milvus.
    """
    if ranges > 1 and config.negatives.lookahead:
        raise AnceError("negatives.lookahead asks the whole index, so ANCE_INDEXER_RANGES must be 1")
    if ranges > 1 and config.index.backend != "faiss":
        raise AnceError(f"index.backend {config.index.backend} spreads its index itself: ANCE_INDEXER_RANGES must be 1")


def tasks_by_range(tasks: list[EncodeTask], ranges: int) -> list[list[EncodeTask]]:
    """The tasks whose shards each range needs: all queries, and passages that follow each other.

    Args:
        tasks: the plan of a pass.
        ranges: how many are wanted. There are fewer if there are fewer shards of passages.
    """
    queries = [task for task in tasks if task.part is not Part.PASSAGES]
    passages = [task for task in tasks if task.part is Part.PASSAGES]
    count = min(ranges, len(passages))
    edges = [number * len(passages) // count for number in range(count + 1)]
    return [queries + passages[start:stop] for start, stop in pairwise(edges)]


def in_turn(by_range: list[list[EncodeTask]]) -> list[EncodeTask]:
    """Every task once: queries, then the first passages of each range, then the second ones ...

    In the order of the corpus, the first range would get all that the encoders make, and the others would wait.
    """
    tasks = chain.from_iterable(zip_longest(*by_range))
    return list({task.id: task for task in tasks if task is not None}.values())


def save_rankings(folder: Path, rankings: Mapping[str, Ranking]) -> None:
    """Write `<name>.rows.npy` and `<name>.scores.npy` of each."""
    for name, (rows, scores) in rankings.items():
        np.save(folder / f"{name}.rows.npy", rows, allow_pickle=False)
        np.save(folder / f"{name}.scores.npy", scores, allow_pickle=False)


@dataclass(frozen=True, slots=True)
class RangeStore:
    """Where the ranges of one pass lie in the store, below the index that they are to be."""

    store: Store
    index: str
    """Folder of the index."""
    ranges: int

    def put(self, number: int, holder: str, index: Path, rankings: Path, **figures: Any) -> None:
        """Store what was mined, and then the record that lets the leader see it.

        Args:
            number: of the range.
            holder: name of this process: of two that mine the same range, each has files of its own.
            index: local folder of the index; its files may be taken over.
            rankings: local folder of the rankings; likewise.
            figures: the other fields of `MinedRange`.
        """
        folder = f"{self._name(number)}-{holder}"
        entries: dict[str, tuple[FileEntry, ...]] = {}
        for what, local in (("index", index), ("rankings", rankings)):
            entries[what] = tuple(local_entry(local, path) for path in sorted(local.iterdir()))
            for entry in entries[what]:
                self.store.upload(local / entry.path, f"{self.index}/{folder}/{entry.path}", link=True)
        record = MinedRange.model_validate({"folder": folder, **entries, **figures})
        self.store.write_new(self._record(number), record.model_dump_json().encode())

    def is_mined(self, number: int) -> bool:
        """Whether somebody has mined the range."""
        return self.store.exists(self._record(number))

    def read(self, number: int) -> MinedRange:
        """What came of a range.

        Raises:
            FileNotFoundError: nobody has mined it yet.
        """
        return MinedRange.model_validate_json(self.store.read(self._record(number)))

    def read_ranking(self, mined: MinedRange, name: str) -> Ranking:
        """A ranking of a range, checked against its record.

        Raises:
            CorruptArtifact: a file is not the one that was mined.
        """
        return self._read_array(mined, f"{name}.rows.npy"), self._read_array(mined, f"{name}.scores.npy")

    def _read_array(self, mined: MinedRange, path: str) -> NDArray[Any]:
        key = f"{self.index}/{mined.folder}/{path}"
        (entry,) = (entry for entry in mined.rankings if entry.path == path)
        data = self.store.read(key)
        if hashlib.sha256(data).hexdigest() != entry.sha256:
            raise CorruptArtifact(f"{key}: is not what was mined; delete {self.index} to have it mined again")
        array: NDArray[Any] = np.load(io.BytesIO(data), allow_pickle=False)
        return array

    def _record(self, number: int) -> str:
        return f"{self.index}/{self._name(number)}.json"

    def _name(self, number: int) -> str:
        # With the count, so that a pass that goes on with another number of ranges does not take old ones for its own.
        return f"ranges/{number}-of-{self.ranges}"
