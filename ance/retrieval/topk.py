"""Exact top-k of every query over passages that arrive in shards, in memory that does not grow with the corpus."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ance.retrieval.rank_keys import NO_PASSAGE, complement, rank_keys, rows_of, scores_of

QUERY_BLOCK = 512
PASSAGE_BLOCK = 2048
"""Scores are selected in blocks of this many queries and passages; small shards wait until they fill one."""


class Waiting(NamedTuple):
    """Passages that wait for others to be ranked with."""

    vectors: NDArray[np.float32]  # [n, D], those of one passage side by side
    firsts: NDArray[np.int64]  # [passages], the first vector of each
    complements: NDArray[np.uint32]  # [passages]


class StreamingTopK:
    """The k passages with the largest inner product of each query, kept up to date as shards of passages come.

    The result does not depend on the order in which shards are added: equal scores rank by the smaller passage
    row, and a score is computed from a block of queries and a shard alone. Cutting the corpus into other shards
    may change scores by float32 rounding, as any other order of summation does. A passage with several vectors scores
    as much as the best of them, and competes once (MaxP).

    Memory: 8 * Q * k bytes, and a block of 512 queries by the vectors of at most 4,096 passages while a shard is added.

    Args:
        queries: float32 [Q, D], not copied.
        k: passages to keep for each query.

    Raises:
        ValueError: a query vector is not finite.
    """

    def __init__(self, queries: NDArray[np.float32], k: int) -> None:
        _check_finite(queries, "query")
        self._queries = queries
        self._keys = np.full((len(queries), k), NO_PASSAGE)
        self._waiting: list[Waiting] = []
        self._worst = np.full((len(queries), 1), -np.inf, np.float32)  # the k-th score of each query

    def add(self, vectors: NDArray[np.float32], ids: NDArray[np.int64]) -> None:
        """Let the passages of a shard compete. A passage must be added once, with all its vectors.

        Args:
            vectors: float32 [n, D].
            ids: int64 [n], passage rows; those of one passage side by side.

        Raises:
            ValueError: a vector is not finite, an id is negative, or there are not as many ids as vectors.
        """
        if len(vectors) != len(ids):
            raise ValueError(f"{len(vectors)} vectors came with {len(ids)} ids")
        _check_finite(vectors, "passage")
        firsts = np.flatnonzero(np.diff(ids, prepend=ids[:1] - 1))
        complements, edges = complement(ids[firsts]), np.append(firsts, len(ids))
        for block in _blocks(len(firsts), PASSAGE_BLOCK):
            start, stop = edges[block.start], edges[min(block.stop, len(firsts))]
            self._waiting.append(Waiting(vectors[start:stop].copy(), firsts[block] - start, complements[block]))
            if sum(len(waiting.vectors) for waiting in self._waiting) >= PASSAGE_BLOCK:
                self._merge()

    def result(self) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Passage rows int64 [Q, k] and scores float32 [Q, k], best first, padded with -1 and -inf."""
        if self._waiting:
            self._merge()
        self._keys.sort(axis=1)
        best_first = self._keys[:, ::-1]
        return rows_of(best_first), scores_of(best_first)

    def _merge(self) -> None:
        complements = np.concatenate([waiting.complements for waiting in self._waiting])
        ends = np.cumsum([len(waiting.vectors) for waiting in self._waiting])
        starts = [0, *ends[:-1]]
        firsts = np.concatenate([start + one.firsts for start, one in zip(starts, self._waiting, strict=True)])
        block = np.empty((QUERY_BLOCK, ends[-1]), np.float32)
        for queries in _blocks(len(self._queries), QUERY_BLOCK):
            scores = block[: len(self._queries[queries])]
            # One product a shard, so that no score depends on which shards happened to wait together.
            for waiting, start, end in zip(self._waiting, starts, ends, strict=True):
                np.matmul(self._queries[queries], waiting.vectors.T, out=scores[:, start:end])
            if len(firsts) < len(scores.T):  # before anything is cut: a passage takes one place, by its best vector
                scores = np.maximum.reduceat(scores, firsts, axis=1)
            self._select(queries, scores, complements)
        self._waiting.clear()

    def _select(self, queries: slice, scores: NDArray[np.float32], complements: NDArray[np.uint32]) -> None:
        """Merge a block of scores [q, n] into the top-k of its queries."""
        enters = scores >= self._worst[queries]
        counts = enters.sum(axis=1, dtype=np.int32)
        most = int(counts.max(initial=0))
        if most == 0:
            return
        if 2 * most > scores.shape[1]:
            candidates = rank_keys(scores, complements)
        else:  # soon few scores can enter, and selecting them is cheaper than making a key of each
            lines, columns = np.divmod(np.flatnonzero(enters), scores.shape[1])
            candidates = np.full((len(scores), most), NO_PASSAGE)
            entering = rank_keys(scores[lines, columns], complements[columns])
            candidates[np.arange(most) < counts[:, None]] = entering
        kept = self._keys[queries]
        merged = np.concatenate([kept, candidates], axis=1)
        merged.partition(candidates.shape[1], axis=1)
        kept[:] = merged[:, candidates.shape[1] :]
        self._worst[queries] = scores_of(kept[:, :1])


def _blocks(length: int, size: int) -> Iterator[slice]:
    return (slice(start, start + size) for start in range(0, length, size))


def _check_finite(vectors: NDArray[np.float32], kind: str) -> None:
    finite = np.isfinite(vectors).all(axis=1)
    if not finite.all():
        bad = len(vectors) - np.count_nonzero(finite)
        raise ValueError(f"{bad} of {len(vectors)} {kind} vectors are not finite: the encoder diverged")
