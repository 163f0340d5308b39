"""Negatives of one query from several pools: this version's candidates, an earlier version's, a positive's neighbours.

Row i of every array belongs to query i.
"""

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


def mix(drawn: Drawn, others: Drawn, count: int, rng: np.random.Generator) -> Drawn:
    """Add up to `count` negatives of another pool, drawn uniformly from those that are not drawn already.

    Args:
        drawn: negatives int64 [Q, n] and scores float32 [Q, n], padded with -1 and -inf.
        others: what may be a negative of the other pool, int64 and float32 [Q, m], padded likewise, distinct in a row.

    Returns:
        int64 and float32 [Q, n + count], padding at the end: a pool may have fewer than asked for.
    """
    available = only(*others, ~is_positive(others[0], drawn[0]))
    more, scores = sample_uniform(*available, count, rng)
    rows = np.concatenate([drawn[0], more], axis=1)
    return only(rows, np.concatenate([drawn[1], scores], axis=1), rows >= 0)


def looked_up(passages: Rows, ranking: Drawn) -> Scores:
    """Scores of passages (int64 [Q, m]) in a ranking of each query, float32 [Q, m]; -inf where it has them not."""
    found = np.full(passages.shape, -np.inf, np.float32)
    if not ranking[0].shape[1]:
        return found
    # Query by query: a [Q, m, k] array would not fit memory.
    for line, (wanted, ids, scores) in enumerate(zip(passages, *ranking, strict=True)):
        order = np.argsort(ids)
        at = order[np.minimum(np.searchsorted(ids, wanted, sorter=order), len(ids) - 1)]
        found[line] = np.where((ids[at] == wanted) & (wanted >= 0), scores[at], -np.inf)
    return found
