"""The shards of encode tasks in the store."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ance.errors import AnceError
from ance.runtime.contracts import EncodeTask, FileEntry, Task
from ance.runtime.layout import RunLayout
from ance.runtime.store import Store


@dataclass(frozen=True, slots=True)
class FinishedShard:
    """A shard whose vectors are in the store. `vectors` is float32 [n, D], `rows` int64 [n], the row of each."""

    task: EncodeTask
    entry: FileEntry
    vectors: NDArray[np.float32]
    rows: NDArray[np.int64]

    @property
    def is_new(self) -> bool:
        """Whether this pass has encoded it, and not an earlier one whose passages stay as they are."""
        return self.task.output_uri.startswith(RunLayout(self.task.run_id).embeddings(self.task.step) + "/")


@dataclass(frozen=True, slots=True)
class Shards:
    """Reads what inferencers have written, and checks that it is what the task was about."""

    store: Store
    owners: Callable[[EncodeTask], NDArray[np.int64]]
    """The row that each vector of a task is of."""

    def listed(self, tasks: Iterable[Task]) -> set[str]:
        """URIs of the shards that a listing shows: one question a version instead of one a shard. It may lag behind."""
        folders = {task.output_uri.rsplit("/", 2)[0] for task in tasks}
        return {key for folder in folders for key in self.store.list(folder)}

    def has(self, task: Task) -> bool:
        """Whether the shard is there."""
        return self.store.exists(task.output_uri)

    def read(self, task: EncodeTask) -> FinishedShard | None:
        """The shard, or None if the store does not have it.

        Raises:
            AnceError: what is stored is not the shard's vectors.
        """
        try:
            data = self.store.read(task.output_uri)
        except FileNotFoundError:
            return None
        rows = self.owners(task)
        vectors = _vectors(task, data, len(rows))
        path = task.output_uri.removeprefix(RunLayout(task.run_id).embeddings(task.step) + "/")
        entry = FileEntry(path=path, size=len(data), sha256=hashlib.sha256(data).hexdigest())
        return FinishedShard(task, entry, vectors, rows)


def _vectors(task: EncodeTask, data: bytes, count: int) -> NDArray[np.float32]:
    remedy = "delete the file to have the shard encoded again"
    try:
        vectors: NDArray[np.float32] = np.load(io.BytesIO(data), allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise AnceError(f"{task.output_uri}: not a .npy file ({error}); {remedy}") from error
    if vectors.ndim != 2 or len(vectors) != count or vectors.dtype != np.float32:
        found = f"{vectors.dtype} {vectors.shape}"
        raise AnceError(f"{task.output_uri}: expected {count} float32 rows, found {found}; {remedy}")
    return vectors
