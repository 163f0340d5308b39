"""Where the hard negatives of a training batch come from."""

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np

from ance.data.qrels import Qrels
from ance.errors import AnceError
from ance.negatives.sampling import Rows, is_positive, random_negatives, take_padded, uniform_positions


class NegativeSource(Protocol):
    """Gives the queries of a batch their negatives."""

    def negatives(self, query_rows: Rows, n: int, rng: np.random.Generator) -> Rows:
        """Draw n distinct passages, none a known positive, for each query: int64 [B, n], never padded.

        `NoNegatives` alone gives none, int64 [B, 0].
        """
        ...


class RandomNegatives:
    """Negatives drawn uniformly from the whole corpus minus the query's known positives."""

    def __init__(self, passages: int, qrels: Qrels) -> None:
        """`passages` is the size of the corpus."""
        self.passages = passages
        self.qrels = qrels

    def negatives(self, query_rows: Rows, n: int, rng: np.random.Generator) -> Rows:
        """See `NegativeSource`.

        Raises:
            AnceError: a query has fewer than n passages that are not its positives.
        """
        positives = self.qrels.padded_positives(query_rows)
        return _complete(random_negatives(self.passages, positives, n, rng), self.passages)


class NoNegatives:
    """No hard negatives: the loss takes the other passages of the batch."""

    def negatives(self, query_rows: Rows, n: int, rng: np.random.Generator) -> Rows:
        """See `NegativeSource`."""
        return np.empty((len(query_rows), 0), np.int64)


class MixedNegatives:
    """Negatives drawn from several sources in equal parts, such as BM25 + random (the paper's DPR baseline).

    A query's negatives take turns between the sources, in an order drawn anew for each query: with fewer negatives
    than sources every source has the same chance. A turn takes what a source has drawn in its order, which for a list
    is that of its ranks.
    """

    def __init__(self, sources: Sequence[NegativeSource]) -> None:
        """Mix one source or more."""
        self._sources = sources

    def negatives(self, query_rows: Rows, n: int, rng: np.random.Generator) -> Rows:
        """See `NegativeSource`. What two sources draw both counts once, and either fills the gap.

        Raises:
            AnceError: a source cannot give n negatives.
        """
        drawn = np.stack([source.negatives(query_rows, n, rng) for source in self._sources], axis=1)  # (B, S, n)
        turns = rng.permuted(np.tile(np.arange(len(self._sources)), (len(query_rows), 1)), axis=1)
        ordered = np.take_along_axis(drawn, turns[:, :, None], axis=1).swapaxes(1, 2).reshape(len(query_rows), -1)
        first = np.ones(ordered.shape, np.bool_)
        for column in range(1, ordered.shape[1]):
            first[:, column] = (ordered[:, :column] != ordered[:, column, None]).all(axis=1)
        # Each source alone gives n distinct passages, so a row has at least n first occurrences.
        chosen = first & (np.cumsum(first, axis=1) <= n)
        return ordered[chosen].reshape(len(query_rows), n)


def mixed(sources: Sequence[NegativeSource]) -> NegativeSource:
    """Negatives of the one source, or of several in equal parts."""
    return sources[0] if len(sources) == 1 else MixedNegatives(sources)


class ListedNegatives:
    """Negatives drawn from the published list of each query, as BM25 or an ANN index mined it.

    A query that is not listed, or whose list is too short, is filled up with random negatives.
    """

    def __init__(
        self,
        query_rows: Rows,
        table: Rows,
        fallback: RandomNegatives,
        on_fill: Callable[[int], None] = lambda count: None,
    ) -> None:
        """Use row i of `table` (int64 [Q, m], padded with -1) for query `query_rows[i]`.

        `on_fill` is told how many random negatives have stood in for listed ones, each time that some have.
        """
        if len(query_rows) != len(table):
            raise ValueError(f"{len(query_rows)} query rows do not fit {len(table)} lists of negatives")
        self._order = np.argsort(query_rows, kind="stable")
        self._sorted_rows = np.asarray(query_rows)[self._order]
        self._table = table
        self._fallback = fallback
        self._on_fill = on_fill

    def negatives(self, query_rows: Rows, n: int, rng: np.random.Generator) -> Rows:
        """See `NegativeSource`. A listed known positive is never drawn.

        Raises:
            AnceError: a list is too short and the corpus too small to fill it up.
        """
        listed = self._lists(query_rows)
        positives = self._fallback.qrels.padded_positives(query_rows)
        available = (listed >= 0) & ~is_positive(listed, positives)
        drawn = take_padded(listed, uniform_positions(available, n, rng), -1)
        short = (drawn < 0).any(axis=1)
        if short.any():
            excluded = np.concatenate([positives[short], drawn[short]], axis=1)
            random = random_negatives(self._fallback.passages, excluded, n, rng)
            missing = drawn[short] < 0
            nth = np.maximum(np.cumsum(missing, axis=1) - 1, 0)  # gap 0 of a row takes its random negative 0
            drawn[short] = np.where(missing, np.take_along_axis(random, nth, axis=1), drawn[short])
            self._on_fill(int(missing.sum()))
        return _complete(drawn, self._fallback.passages)

    def _lists(self, query_rows: Rows) -> Rows:
        """The lists of some queries, int64 [B, m]; a query that is not listed gets an empty one."""
        if not len(self._table):
            return np.full((len(query_rows), 0), -1, dtype=np.int64)
        position = np.minimum(np.searchsorted(self._sorted_rows, query_rows), len(self._sorted_rows) - 1)
        lists = np.array(self._table[self._order[position]], dtype=np.int64)
        lists[self._sorted_rows[position] != query_rows] = -1
        return lists


def _complete(negatives: Rows, passages: int) -> Rows:
    if (negatives < 0).any():
        raise AnceError(
            f"a corpus of {passages} passages cannot give every query {negatives.shape[1]} negatives besides"
            " its positives: lower training.negatives_per_query or use a larger data set"
        )
    return negatives
