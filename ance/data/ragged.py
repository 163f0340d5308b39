"""Many short arrays in two files: their values end to end, and where each begins."""

from __future__ import annotations

import os
from array import array
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, Self, TypeVar, overload

import numpy as np
from numpy.typing import DTypeLike, NDArray

T = TypeVar("T")


class Ragged:
    """A memory-mapped sequence of 1-D arrays of different lengths.

    Args:
        flat: [values] of any dtype, the arrays end to end.
        offsets: int64 [n + 1], array i is flat[offsets[i] : offsets[i + 1]].
    """

    def __init__(self, flat: NDArray[Any], offsets: NDArray[np.int64]) -> None:
        self.flat = flat
        self.offsets = offsets

    @classmethod
    def open(cls, bin_path: Path, offsets_path: Path, dtype: DTypeLike) -> Ragged:
        """Map the two files that a `RaggedWriter` wrote. Nothing is read before it is used.

        Raises:
            ValueError: the two files do not belong together.
        """
        offsets = np.load(offsets_path, mmap_mode="r", allow_pickle=False)
        # An empty file cannot be mapped.
        empty = bin_path.stat().st_size == 0
        flat = np.empty(0, dtype) if empty else np.memmap(bin_path, dtype, mode="r")
        if int(offsets[-1]) != len(flat):
            raise ValueError(f"{bin_path}: {len(flat)} values, {offsets_path.name} says {int(offsets[-1])}")
        # As plain arrays over the same pages: slices of a memmap cost several times as much.
        return cls(flat.view(np.ndarray), offsets.view(np.ndarray))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, row: int) -> NDArray[Any]:
        """Array `row`, a view of the mapped file."""
        if not 0 <= row < len(self):
            raise IndexError(f"row {row} of {len(self)}")
        return self.flat[self.offsets[row] : self.offsets[row + 1]]

    @property
    def lengths(self) -> NDArray[np.int64]:
        """int64 [n]."""
        return np.diff(self.offsets)

    def part(self, start: int, stop: int) -> Ragged:
        """Arrays [start, stop), over the same values."""
        return Ragged(self.flat, self.offsets[start : stop + 1])

    def take(self, rows: NDArray[np.int64]) -> Ragged:
        """Copies of any arrays, in their order."""
        copies = [self[row] for row in rows.tolist()]
        return Ragged(
            np.concatenate([np.empty(0, self.flat.dtype), *copies]), np.cumsum([0, *map(len, copies)], dtype=np.int64)
        )


class RaggedWriter:
    """Writes the two files of a `Ragged`. Keeps 8 bytes an array in memory, whatever the arrays' lengths."""

    def __init__(self, bin_path: Path, offsets_path: Path, dtype: DTypeLike) -> None:
        self.dtype = np.dtype(dtype)
        self._offsets_path = offsets_path
        self._offsets = array("q", [0])
        self._file = bin_path.open("w+b")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        if error is None:
            np.save(self._offsets_path, np.frombuffer(self._offsets, np.int64), allow_pickle=False)

    def __len__(self) -> int:
        return len(self._offsets) - 1

    def __getitem__(self, row: int) -> NDArray[Any]:
        """Read back an array that has been written."""
        start, stop = (offset * self.dtype.itemsize for offset in self._offsets[row : row + 2])
        self._file.flush()
        return np.frombuffer(os.pread(self._file.fileno(), stop - start, start), self.dtype)

    def append(self, values: Sequence[int] | NDArray[Any]) -> None:
        """Add one array."""
        self._file.write(np.asarray(values, self.dtype).tobytes())
        self._offsets.append(self._offsets[-1] + len(values))

    def extend(self, rows: Iterable[Sequence[int] | NDArray[Any]]) -> None:
        """Add arrays in order."""
        for values in rows:
            self.append(values)


class Decoded(Sequence[T], Generic[T]):
    """A sequence of objects that are kept as bytes in a `Ragged` and decoded when they are asked for."""

    def __init__(self, rows: Ragged, decode: Callable[[bytes], T]) -> None:
        self._rows = rows
        self._decode = decode

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, row: int) -> T: ...
    @overload
    def __getitem__(self, row: slice) -> list[T]: ...
    def __getitem__(self, row: int | slice) -> T | list[T]:
        if isinstance(row, slice):
            return [self[one] for one in range(*row.indices(len(self)))]
        return self._decode(self._rows[int(row)].tobytes())
