"""Mining: the running top-k over shards against faiss.knn over the whole matrix. Same vectors, one thread.

The running top-k works while encoders still produce shards, and drops each; faiss.knn can start only when all
vectors are there, and has to hold them. So peak memory is measured at this size and with GROWTH times the passages:
ours must be the same.

python -m benchmarks.mining [--queries 17000] [--passages 6200] [--k 200] [--json]
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # numpy's BLAS reads it once, when it is loaded

import multiprocessing
from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ance.retrieval.topk import StreamingTopK
from benchmarks.harness import Result, machine, paired, use_threads
from benchmarks.options import parser
from benchmarks.processes import peak_mb

GOAL = 0.8
GROWTH = 8
TOLERANCE_MB = 8.0
"""Ours may differ by so much between both sizes: what the C library keeps of freed blocks differs from process to
process. What must not be there is many times as large: the vectors of the larger corpus."""
CLUSTERS = 64
Vectors = NDArray[np.float32]
Ids = NDArray[np.int64]


class Size(NamedTuple):
    """What is mined."""

    queries: int
    passages: int
    dim: int
    k: int
    shard: int

    def vectors(self, count: int, seed: int) -> Vectors:
        """Unit vectors around common centres, as those of an encoder: float32 [count, dim]."""
        centres = np.random.default_rng(0).standard_normal((CLUSTERS, self.dim), np.float32)
        rng = np.random.default_rng([1, seed])
        vectors = centres[rng.integers(0, CLUSTERS, count)] + rng.standard_normal((count, self.dim), np.float32)
        unit: Vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        return unit

    def shards(self) -> list[tuple[int, int]]:
        """First row and end of each shard."""
        starts = range(0, self.passages, self.shard)
        return [(start, min(start + self.shard, self.passages)) for start in starts]

    def make_shard(self, start: int, stop: int) -> Vectors:
        """The embeddings of a shard, as an encoder would deliver them."""
        return self.vectors(stop - start, seed=1 + start)


def main(arguments: Sequence[str] | None = None) -> Result:
    """Measure, print, and return the result. The figures are seconds for all queries and the whole corpus."""
    command_line = parser("mining", __doc__)
    command_line.add_argument("--queries", type=int, default=17_000)
    command_line.add_argument("--passages", type=int, default=6_200)
    command_line.add_argument("--dim", type=int, default=384)
    command_line.add_argument("--k", type=int, default=200)
    command_line.add_argument("--shard", type=int, default=512, help="passages a shard")
    command_line.add_argument("--pairs", type=int, default=5, help="paired runs")
    options = command_line.parse_args(arguments)
    size = Size(options.queries, options.passages, options.dim, options.k, options.shard)
    result = compare(size, options.pairs)
    print(result.to_json() if options.json else result.line())
    if not options.json:
        for times, memory in result.details["peak_mb"].items():
            ours, theirs = memory["ours"], memory["theirs"]
            print(f"  peak memory beyond the queries, {times} the passages: {ours:.0f} MiB, peer {theirs:.0f} MiB")
    return result


def compare(size: Size, n: int) -> Result:
    """Time both on the same vectors, n pairs of runs; measure memory; check that both find the same passages."""
    import faiss

    use_threads(1)
    faiss.omp_set_num_threads(1)
    queries = size.vectors(size.queries, seed=0)
    bounds = size.shards()
    shards = [size.make_shard(start, stop) for start, stop in bounds]
    corpus = np.concatenate(shards)

    def ours() -> Ids:
        running = StreamingTopK(queries, size.k)
        for vectors, (start, stop) in zip(shards, bounds, strict=True):
            running.add(vectors, np.arange(start, stop))
        return running.result()[0]

    def theirs() -> Ids:
        return _whole(queries, corpus, size.k)

    pairs = paired(ours, theirs, n)
    same = float((np.sort(ours(), axis=1) == np.sort(theirs(), axis=1)).mean())
    memory = {f"{times}x": peaks(size._replace(passages=times * size.passages)) for times in (1, GROWTH)}
    return Result(
        name="mining",
        peer=f"faiss.knn {faiss.__version__}",
        ours=median(pairs.ours),
        theirs=median(pairs.theirs),
        ratio=pairs.speedup,
        goal=GOAL,
        holds=pairs.speedup >= GOAL and same > 0.999 and is_independent(memory),
        n=n,
        spread=pairs.spread,
        machine=machine(),
        details=size._asdict()
        | {
            "unit": "s",
            "same_passages": same,
            "peak_mb": memory,
            "tolerance_mb": TOLERANCE_MB,
        },
    )


def is_independent(memory: Mapping[str, Mapping[str, float]]) -> bool:
    """Whether our peak memory, by size of the corpus, stays the same."""
    ours = [peak["ours"] for peak in memory.values()]
    return max(ours) - min(ours) <= TOLERANCE_MB


def peaks(size: Size) -> dict[str, float]:
    """Peak memory of both beyond a process that has only the queries, in MiB."""
    start = _peak(size, _queries_only)
    return {"ours": _peak(size, _stream) - start, "theirs": _peak(size, _collect) - start}


def _whole(queries: Vectors, corpus: Vectors, k: int) -> Ids:
    import faiss

    ids: Ids = faiss.knn(queries, corpus, k, metric=faiss.METRIC_INNER_PRODUCT)[1]
    return ids


def _queries_only(size: Size) -> None:
    import faiss  # noqa: F401, its size is not the peer's

    size.vectors(size.queries, seed=0)


def _stream(size: Size) -> None:
    running = StreamingTopK(size.vectors(size.queries, seed=0), size.k)
    for start, stop in size.shards():
        running.add(size.make_shard(start, stop), np.arange(start, stop))
    running.result()


def _collect(size: Size) -> None:
    corpus = np.empty((size.passages, size.dim), np.float32)
    queries = size.vectors(size.queries, seed=0)
    for start, stop in size.shards():
        corpus[start:stop] = size.make_shard(start, stop)
    _whole(queries, corpus, size.k)


def _peak(size: Size, work: Callable[[Size], None]) -> float:
    """Peak resident memory of a fresh process that does the work, in MiB."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_peak_here, (size, work))


def _peak_here(size: Size, work: Callable[[Size], None]) -> float:
    work(size)
    return peak_mb(os.getpid())


if __name__ == "__main__":
    main()
