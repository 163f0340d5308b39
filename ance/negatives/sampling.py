"""Pure samplers of negatives: arrays and a random generator in, arrays out.

Row i of every array belongs to query i. Padding is -1 for passages and -inf for scores, always at the end of
a row. The same generator state gives the same negatives.
"""

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Number = TypeVar("Number", bound=np.generic)
Rows = NDArray[np.int64]
Scores = NDArray[np.float32]


def without_positives(candidates: Rows, scores: Scores, positives: Rows) -> tuple[Rows, Scores]:
    """Drop the known positives of each query from its candidates, keeping the order of the rest.

    This is `ANN_f(q) minus D+` of the paper's objective (eq 13), with every known positive in D+.

    Args:
        candidates: passage rows, int64 [Q, k], padded with -1.
        scores: similarity of each candidate, float32 [Q, k].
        positives: known positives, int64 [Q, p], padded with -1.

    Returns:
        Candidates and scores of the same shapes, what is left moved to the front.
    """
    return only(candidates, scores, ~is_positive(candidates, positives))


def only(candidates: Rows, scores: Scores, wanted: NDArray[np.bool_]) -> tuple[Rows, Scores]:
    """The wanted candidates (bool [Q, k]) and their scores, in order and moved to the front; shapes stay."""
    kept = (candidates >= 0) & wanted
    front = np.arange(candidates.shape[1]) < np.count_nonzero(kept, axis=1)[:, None]
    left, left_scores = np.full_like(candidates, -1), np.full_like(scores, -np.inf)
    left[front], left_scores[front] = candidates[kept], scores[kept]
    return left, left_scores


def is_positive(passages: Rows, positives: Rows) -> NDArray[np.bool_]:
    """Which passages (int64 [Q, k], or [1, k] for all queries alike) are known positives (int64 [Q, p])."""
    known = np.zeros((len(positives), passages.shape[1]), dtype=np.bool_)
    # One pass a column: positives are few, and a [Q, k, p] array would not fit memory.
    for positive in positives.T:
        known |= passages == positive[:, None]
    return known


def uniform_positions(available: NDArray[np.bool_], n: int, rng: np.random.Generator) -> Rows:
    """Draw n positions of each row uniformly and without replacement among those available.

    Args:
        available: bool [Q, k].

    Returns:
        Positions in increasing order, int64 [Q, n], padded with -1 where fewer than n are available.
    """
    count, width = available.shape
    drawn = np.full((count, n), width, dtype=np.int64)
    taken = min(n, width)
    if taken:
        keys = rng.random(available.shape, dtype=np.float32)
        keys[~available] = 2.0  # above every key, so drawn only when nothing else is left
        smallest = np.argpartition(keys, taken - 1, axis=1)[:, :taken]
        drawn[:, :taken] = np.where(np.take_along_axis(available, smallest, axis=1), smallest, width)
    drawn.sort(axis=1)
    drawn[drawn == width] = -1
    return drawn


def sample_uniform(candidates: Rows, scores: Scores, n: int, rng: np.random.Generator) -> tuple[Rows, Scores]:
    """Draw n candidates of each query uniformly and without replacement (paper section 5).

    Args:
        candidates: passage rows by rank, int64 [Q, k], padded with -1, distinct in a row.
        scores: similarity of each candidate, float32 [Q, k].

    Returns:
        Negatives int64 [Q, n] and their scores float32 [Q, n], in rank order, padded where a query has fewer
        than n candidates.
    """
    positions = uniform_positions(candidates >= 0, n, rng)
    return take_padded(candidates, positions, -1), take_padded(scores, positions, -np.inf)


def sample_top(candidates: Rows, scores: Scores, n: int) -> tuple[Rows, Scores]:
    """The n highest ranked candidates of each query, shaped and padded as by `sample_uniform`."""
    top = min(n, candidates.shape[1])
    negatives = np.full((len(candidates), n), -1, np.int64)
    negative_scores = np.full((len(candidates), n), -np.inf, np.float32)
    negatives[:, :top], negative_scores[:, :top] = candidates[:, :top], scores[:, :top]
    return negatives, negative_scores


def sample_simans(
    candidates: Rows, scores: Scores, positive: Scores, n: int, a: float, b: float, rng: np.random.Generator
) -> tuple[Rows, Scores]:
    """Draw n candidates of each query without replacement, those that score like its positive first of all.

    SimANS (Zhou et al., EMNLP 2022, eq 4): p_i proportional to exp(-a (s_i - s+ - b)^2). Drawn by adding Gumbel
    noise to log p_i and taking the n largest, which is drawing one after the other.

    Args:
        candidates: passage rows by rank, int64 [Q, k], padded with -1, distinct in a row.
        scores: similarity of each candidate, float32 [Q, k].
        positive: score of the positive, float32 [Q], finite.
        a: how sharply nearness is preferred.
        b: the preferred difference from the positive's score.

    Returns:
        As `sample_uniform`.
    """
    width = candidates.shape[1]
    taken = min(n, width)
    present = candidates >= 0
    distance = np.where(present, scores, 0).astype(np.float64) - positive[:, None] - b
    keys = np.where(present, rng.gumbel(size=candidates.shape) - a * distance**2, -np.inf)
    positions = np.full((len(candidates), n), width, np.int64)
    if taken:
        largest = np.argpartition(-keys, taken - 1, axis=1)[:, :taken]
        positions[:, :taken] = np.where(np.take_along_axis(present, largest, axis=1), largest, width)
    positions.sort(axis=1)
    positions[positions == width] = -1
    return take_padded(candidates, positions, -1), take_padded(scores, positions, -np.inf)


def random_negatives(passages: int, positives: Rows, n: int, rng: np.random.Generator) -> Rows:
    """Draw n distinct passages of the whole corpus for each query, never a known positive.

    Every set of n passages that are not positives is equally likely; the order in a row means nothing.

    Args:
        passages: size of the corpus.
        positives: known positives, int64 [Q, p], padded with -1.

    Returns:
        Passage rows, int64 [Q, n], padded with -1 where fewer than n passages are not positives.
    """
    known = distinct_sorted(positives, fill=passages)
    allowed = passages - np.count_nonzero(known < passages, axis=1)
    drawn = np.full((len(positives), n), -1, dtype=np.int64)
    # Floyd's algorithm (Bentley and Floyd, CACM 1987), all queries at once: no rejection and no permutation.
    for column in range(n):
        last = allowed - n + column
        number = rng.integers(0, np.maximum(last, 0) + 1)
        seen = (drawn[:, :column] == number[:, None]).any(axis=1)
        drawn[:, column] = np.where(last < 0, -1, np.where(seen, last, number))
    drawn = np.ascontiguousarray(drawn[:, ::-1])  # rows that ran short are padded at the end
    # Number r among the allowed passages is passage r plus the positives at or before it.
    for positive in known.T:
        drawn += drawn >= positive[:, None]
    return drawn


def distinct_sorted(rows: Rows, fill: int) -> Rows:
    """Sort each row and keep one of equal values; padding (-1) and repeats become `fill`, at the end.

    `fill` must exceed every value.
    """
    ordered = np.sort(np.where(rows < 0, fill, rows), axis=1)
    ordered[:, 1:][ordered[:, 1:] == ordered[:, :-1]] = fill
    return np.sort(ordered, axis=1)


def take_padded(values: NDArray[Number], positions: Rows, padding: float) -> NDArray[Number]:
    """`values` [Q, k] at `positions` [Q, n], and `padding` where a position is -1."""
    if values.shape[1] == 0:
        return np.full(positions.shape, padding, dtype=values.dtype)
    taken = np.take_along_axis(values, np.maximum(positions, 0), axis=1)
    taken[positions < 0] = padding
    return taken
