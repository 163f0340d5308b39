"""Negatives of one query from several pools: this version's candidates, an earlier version's, a positive's neighbours.

Row i of every array belongs to query i.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ance.negatives.sampling import Rows, Scores, is_positive, only, sample_uniform

Drawn = tuple[Rows, Scores]


@dataclass(frozen=True, slots=True)
class Pool:
    """Passages that a share of each query's negatives is drawn from.

    ANCE-Tele (Sun et al., EMNLP 2022) has two: momentum negatives, the candidates of the version before, and
    look-ahead negatives, the neighbours of the query's positive.

    Attributes:
        candidates: passage rows, int64 [Q, m], padded with -1, distinct in a row.
        share: of the sample, between 0 and 1.
    """

    candidates: Rows
    share: float

    def count(self, sample: int) -> int:
        """How many of `sample` negatives come from this pool."""
        return round(self.share * sample)


def mix(
    drawn: Drawn,
    pools: Sequence[Pool],
    positives: Rows,
    ranking: Drawn,
    sample: int,
    rng: np.random.Generator,
) -> Drawn:
    """Add negatives drawn uniformly from each pool to those drawn already; none twice, none a known positive.

    Args:
        drawn: negatives int64 [Q, n] and scores float32 [Q, n], padded with -1 and -inf.
        pools: where the others come from, in turn.
        positives: known positives, int64 [Q, p], padded with -1.
        ranking: this version's ranking and scores, [Q, k], where scores are looked up.
        sample: negatives a query in all.

    Returns:
        int64 [Q, sample] and float32 [Q, sample], padding at the end: a pool may have fewer than asked for. A
        negative that is not ranked has the score -inf.
    """
    rows, scores = drawn
    for pool in pools:
        fresh = (pool.candidates >= 0) & ~is_positive(pool.candidates, positives) & ~is_positive(pool.candidates, rows)
        available, none = only(pool.candidates, np.zeros(pool.candidates.shape, np.float32), fresh)
        more, _ = sample_uniform(available, none, pool.count(sample), rng)
        rows = np.concatenate([rows, more], axis=1)
        scores = np.concatenate([scores, _looked_up(more, *ranking)], axis=1)
    return only(rows, scores, rows >= 0)


def _looked_up(rows: Rows, ids: Rows, scores: Scores) -> Scores:
    found = np.full(rows.shape, -np.inf, np.float32)
    for column, wanted in enumerate(rows.T):
        here = (ids == wanted[:, None]) & (wanted >= 0)[:, None]
        found[:, column] = np.where(here, scores, -np.inf).max(axis=1, initial=-np.inf)
    return found
