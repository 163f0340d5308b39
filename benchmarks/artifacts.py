"""Publishing an index and opening it again, against the same bytes copied and read by hand.

Ours: hash every file, put it into a file store on another file system than the staging folder, sync, write the
manifest, move the pointer; then check every hash, map the index and search. Theirs: cp, sync and sha256sum; then
sha256sum, faiss.read_index into memory and search. What both do is bounded by the disk and by SHA-256.

python -m benchmarks.artifacts [--vectors 200000] [--dim 384] [--pairs 5] [--folder /var/tmp] [--json]
"""

from __future__ import annotations

import hashlib
import itertools
import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

import faiss
import numpy as np

from ance.retrieval.index import IDS_FILE, INDEX_FILE, IndexBuilder, PassageIndex
from ance.runtime.artifacts import fetch, manifests, publish
from ance.runtime.contracts import Kind
from ance.runtime.layout import RunLayout
from ance.runtime.store import Store
from benchmarks.harness import Pairs, Result, machine, paired, use_threads
from benchmarks.options import parser

GOAL = 0.8
LAYOUT = RunLayout("bench")


class Files:
    """An index in a staging folder, a store, and a folder for copies by hand."""

    def __init__(self, folder: Path, vectors: int, dim: int) -> None:
        self.built, self.folder = folder / "built", folder
        builder = IndexBuilder("Flat", dim, vectors)
        builder.add(np.random.default_rng(0).standard_normal((vectors, dim), np.float32), np.arange(vectors))
        builder.finish(self.built)
        self.query = np.ones((1, dim), np.float32)
        self.store = Store.open(f"file://{folder / 'store'}", create=True)
        self.steps = itertools.count(1)
        self.copy = folder / "copy"

    def publish(self) -> None:
        """A version of its own each time, which replaces the one before on the disk."""
        step = next(self.steps)
        manifests._sha256.cache_clear()  # a staging folder is always new
        publish(
            self.store,
            LAYOUT.index(step),
            self.built,
            kind=Kind.INDEX,
            step=step,
            pointer=LAYOUT.pointer("index"),
            keep_staging=True,
        )
        self.store.delete(LAYOUT.index(step - 1))

    def copy_by_hand(self) -> None:
        """What a shell script would do."""
        shutil.rmtree(self.copy, ignore_errors=True)
        self.copy.mkdir()
        for name in (INDEX_FILE, IDS_FILE):
            shutil.copyfile(self.built / name, self.copy / name)
            with (self.copy / name).open("rb") as file:
                os.fsync(file.fileno())
        self._hash(self.copy)

    def load(self) -> None:
        """Check, map, search."""
        manifests._sha256.cache_clear()
        newest = self.store.read_pointer(LAYOUT.pointer("index"))
        assert newest is not None
        PassageIndex.open(fetch(self.store, newest, self.folder)).search(self.query, 10)

    def load_by_hand(self) -> None:
        """Check, read, search."""
        self._hash(self.copy)
        np.load(self.copy / IDS_FILE, allow_pickle=False)
        faiss.read_index(str(self.copy / INDEX_FILE)).search(self.query, 10)

    @staticmethod
    def _hash(folder: Path) -> None:
        for path in folder.iterdir():
            with path.open("rb") as file:
                hashlib.file_digest(file, "sha256")


def main(arguments: Sequence[str] | None = None) -> Result:
    """Measure, print, and return the result. The figures are seconds of a publication."""
    command_line = parser("artifacts", __doc__)
    command_line.add_argument("--vectors", type=int, default=200_000)
    command_line.add_argument("--dim", type=int, default=384)
    command_line.add_argument("--pairs", type=int, default=5)
    command_line.add_argument("--folder", type=Path, help="on the disk to measure")
    options = command_line.parse_args(arguments)
    use_threads(1)
    faiss.omp_set_num_threads(1)
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        files = Files(Path(folder), options.vectors, options.dim)
        size = sum(path.stat().st_size for path in files.built.iterdir())
        sides: dict[str, tuple[Callable[[], None], Callable[[], None]]] = {
            "publish": (files.publish, files.copy_by_hand),
            "load": (files.load, files.load_by_hand),
        }
        pairs = {name: paired(*both, options.pairs) for name, both in sides.items()}
    result = summarise(pairs, size)
    print(result.to_json() if options.json else result.line())
    if not options.json:
        for name, both in result.details["phases"].items():
            print(f"  {name}: {both['ours']:.3f} s, by hand {both['theirs']:.3f} s")
    return result


def summarise(pairs: dict[str, Pairs], size: int) -> Result:
    """The claim: neither publishing nor loading costs much beside copying and hashing."""
    worst = min(pairs.values(), key=lambda both: both.speedup)
    published = pairs["publish"]
    return Result(
        name="artifacts",
        peer="cp, sync and sha256sum",
        ours=median(published.ours),
        theirs=median(published.theirs),
        ratio=worst.speedup,
        goal=GOAL,
        holds=worst.speedup >= GOAL,
        n=len(published.ours),
        spread=worst.spread,
        machine=machine(),
        details={
            "unit": "s",
            "bytes": size,
            "phases": {
                name: {"ours": median(both.ours), "theirs": median(both.theirs), "ratio": both.speedup}
                for name, both in pairs.items()
            },
        },
    )


if __name__ == "__main__":
    main()
