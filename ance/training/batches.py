"""The stream of training batches: a pure function of seed, step and the negatives in use."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ance.data.qrels import Qrels
from ance.errors import AnceError
from ance.negatives.pair_scores import PairScores
from ance.negatives.sampling import Rows, Scores, is_positive
from ance.negatives.sources import NegativeSource
from ance.training.config import BatchConfig

# Keeps the two uses of a seed apart: an epoch's order never shares random numbers with a step's draws.
_ORDER, _DRAWS = 0, 1


@dataclass(frozen=True, slots=True)
class TrainingBatch:
    """Rows of one forward pass.

    Attributes:
        query_rows: int64 [B], distinct.
        positive_rows: int64 [B].
        negative_rows: int64 [B, N], N = 0 for negatives of the batch alone.
        known_positives: bool [B, P * (1 + N)] over P positives followed by their negatives in row order; true
            where a passage is a known positive of the query and not the positive it is trained with. P = B, or the
            size of the whole batch in a part whose passages are shared.
        passage_rows: int64 [P * (1 + N)], the passages that `known_positives` is of.
        first_positive: passage `first_positive + i` is the positive of query i: 0 but in such a part.
        teacher_margins: by how much a teacher scores the positive above each negative, float32 [B, N], NaN where it
            has scored one of them not; None without a teacher.
    """

    query_rows: Rows
    positive_rows: Rows
    negative_rows: Rows
    known_positives: NDArray[np.bool_]
    passage_rows: Rows
    first_positive: int = 0
    teacher_margins: Scores | None = None

    def part(self, rank: int, size: int, *, shared: bool) -> TrainingBatch:
        """What process `rank` of `size` computes: equally many queries in a row, with their passages.

        Args:
            rank: number of the process.
            size: number of processes; divides B.
            shared: whether the passages of all parts are negatives of each query, or those of this part alone.
        """
        if size == 1:
            return self
        batch = len(self.query_rows)
        first, last = rank * batch // size, (rank + 1) * batch // size
        columns = np.arange(len(self.passage_rows))
        if not shared:
            negatives = columns[batch:].reshape(batch, -1)[first:last]
            columns = np.concatenate([columns[first:last], negatives.ravel()])
        return TrainingBatch(
            self.query_rows[first:last],
            self.positive_rows[first:last],
            self.negative_rows[first:last],
            self.known_positives[first:last, columns],
            self.passage_rows[columns],
            first if shared else 0,
            None if self.teacher_margins is None else self.teacher_margins[first:last],
        )

    def masked(self, size: int, *, shared: bool) -> int:
        """Over the parts of all `size` processes (see `part`): how often a passage is masked for a query."""
        if shared:  # the parts hold each pair of the batch once
            return int(self.known_positives.sum())
        return sum(int(self.part(rank, size, shared=False).known_positives.sum()) for rank in range(size))


class TrainingBatches:
    """Batches of every step, in shuffled epochs over the queries that have a positive.

    Nothing is remembered between steps, so a resumed run and any other process see the same stream. Each
    visit of a query draws one of its positives and fresh negatives. (The original code runs through 20
    negatives of one query in a row, which leaves few distinct queries in a step.)
    """

    def __init__(self, qrels: Qrels, config: BatchConfig) -> None:
        """Prepare the stream of one data set; a positive to train on has at least `config.min_positive_grade`.

        Raises:
            AnceError: fewer queries have a positive than a batch needs.
        """
        self.query_rows = np.flatnonzero(qrels.positive_counts(config.min_positive_grade))
        self._qrels = qrels
        self._config = config
        self._batches_per_epoch = len(self.query_rows) // config.batch_size
        if not self._batches_per_epoch:
            raise AnceError(
                f"only {len(self.query_rows)} training queries have a positive passage, fewer than"
                f" training.batch_size ({config.batch_size}): lower it or use a larger data set"
            )
        self._epoch = -1
        self._epoch_rows = self.query_rows

    def batch(self, step: int, negatives: NegativeSource, teacher: PairScores | None = None) -> list[TrainingBatch]:
        """The micro batches of optimiser step number `step`, one a forward pass.

        An epoch ends with its last full batch; the few queries left over differ from epoch to epoch.

        Args:
            step: from 0.
            negatives: where the negatives are drawn from.
            teacher: what a teacher has scored, for their margins.
        """
        rng = np.random.default_rng([self._config.seed, _DRAWS, step])
        first = step * self._config.gradient_accumulation
        return [
            self._draw(self._queries(number), negatives, teacher, rng)
            for number in range(first, first + self._config.gradient_accumulation)
        ]

    def _queries(self, number: int) -> Rows:
        """Query rows of micro batch `number`, counted from the start of the run."""
        epoch, position = divmod(number, self._batches_per_epoch)
        if epoch != self._epoch:  # kept for speed only: an order follows from seed and epoch
            rng = np.random.default_rng([self._config.seed, _ORDER, epoch])
            self._epoch, self._epoch_rows = epoch, rng.permutation(self.query_rows)
        size = self._config.batch_size
        return self._epoch_rows[position * size : (position + 1) * size]

    def _draw(
        self, query_rows: Rows, negatives: NegativeSource, teacher: PairScores | None, rng: np.random.Generator
    ) -> TrainingBatch:
        trained = self._qrels.padded_positives(query_rows, self._config.min_positive_grade)
        choice = rng.integers(0, np.count_nonzero(trained >= 0, axis=1))
        positive_rows = trained[np.arange(len(query_rows)), choice]
        negative_rows = negatives.negatives(query_rows, self._config.negatives_per_query, rng)
        passages = np.concatenate([positive_rows, negative_rows.ravel()])
        mask = known_positives(self._qrels.padded_positives(query_rows), passages)
        margins = None if teacher is None else teacher.margins(query_rows, positive_rows, negative_rows)
        return TrainingBatch(query_rows, positive_rows, negative_rows, mask, passages, teacher_margins=margins)


def known_positives(positives: Rows, passage_rows: Rows) -> NDArray[np.bool_]:
    """The mask of `TrainingBatch`, from all known positives of each query (int64 [B, p], padded with -1)."""
    known = is_positive(passage_rows[None], positives)
    np.fill_diagonal(known, False)
    return known
