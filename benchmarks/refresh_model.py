"""A refresh as a queue: shards wait, encoders take them in order, miners merge what comes out.

What is not known of a machine (the rate of an encoder, the cost of a merge) goes in; what follows from it (the end of
the pass, the idle time of the last encoders, a miner that cannot keep up) comes out.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Work:
    """What a refresh has to do."""

    passages: int
    queries: int
    """Training and dev queries, all of which are ranked against every passage."""
    shard_rows: int = 16_384


@dataclass(frozen=True, slots=True)
class Encoders:
    """A fleet of inferencers, one to a GPU."""

    count: int
    rows_a_second: float
    """Of one."""
    task_seconds: float = 0.0
    """Of a task beside its encoding: taking it, storing the vectors, reporting."""
    spread: float = 0.05
    """Standard deviation of the time of a shard over its mean: shards differ in length, GPUs in speed."""


@dataclass(frozen=True, slots=True)
class Miners:
    """Indexers, with a range of the passages each."""

    ranges: int = 1
    scores_a_second: float = float("inf")
    """Of one: a score is the inner product of a query and a passage, ranked."""
    shard_seconds: float = 0.0
    """Of a shard beside its scores: reading, hashing, indexing, coordinating."""
    closing_seconds: float = 0.0
    """From the last merge to published negatives."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """How a refresh goes."""

    refresh_seconds: float
    encode_seconds: float
    """Until the last shard is encoded."""
    encoders_busy: float
    """Share of the fleet's time that it encodes, until the end of the refresh."""
    behind_seconds: float
    """From the last encoded shard to the last merged one: large where the miners cannot keep up."""


def simulate(work: Work, encoders: Encoders, miners: Miners, seed: int = 0) -> Prediction:
    """Play one refresh, shard by shard."""
    rows = _shards(work)
    rng = np.random.default_rng(seed)
    # A gamma distribution: no shard takes less than nothing, and a few take long.
    shape = 1 / encoders.spread**2 if encoders.spread else None
    factors = rng.gamma(shape, 1 / shape, len(rows)) if shape else np.ones(len(rows))
    seconds = rows / encoders.rows_a_second * factors + encoders.task_seconds
    free = [0.0] * encoders.count
    finished = np.empty(len(rows))
    for shard, taken in enumerate(seconds):
        finished[shard] = heapq.heappop(free) + taken
        heapq.heappush(free, finished[shard])
    merged = [0.0] * miners.ranges
    for shard in np.argsort(finished, kind="stable"):
        owner = shard % miners.ranges  # tasks of different ranges are enqueued in turn
        cost = rows[shard] * work.queries / miners.scores_a_second + miners.shard_seconds
        merged[owner] = max(merged[owner], finished[shard]) + cost
    encoded, end = float(finished.max()), max(merged) + miners.closing_seconds
    return Prediction(end, encoded, float(seconds.sum()) / (encoders.count * end), max(merged) - encoded)


def mean_async_gap(refresh_seconds: float, steps_a_second: float) -> float:
    """Steps between a batch and the checkpoint that its negatives are of, on average.

    With refreshes back to back, negatives of a checkpoint arrive when the trainer is one refresh further, and are used
    until the next arrive, another refresh later: from one refresh to two, one and a half in the mean.
    """
    return 1.5 * refresh_seconds * steps_a_second


def _shards(work: Work) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Rows of each shard of passages, in the order of the queue."""
    whole, rest = divmod(work.passages, work.shard_rows)
    return np.array([work.shard_rows] * whole + [rest] * (rest > 0), np.int64)
