"""BM25 as a teacher of the batch: what words alone say of every passage, beside what was judged."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ance.negatives.sampling import Scores
from ance.retrieval.bm25 import BM25
from ance.training.batches import TrainingBatch
from ance.training.config import LexicalTeacherConfig


class LexicalTeacher:
    """Knows how relevant each passage of a batch is to each query, of those that share words and of the one judged.

    Args:
        config: how words and judgements are weighed.
        bm25: index of the passages.
        query_text: gives the text of a row of the training queries.
    """

    def __init__(self, config: LexicalTeacherConfig, bm25: BM25, query_text: Callable[[int], str]) -> None:
        self.weight = config.weight
        self._config = config
        self._bm25 = bm25
        self._query_text = query_text

    def logits(self, batch: TrainingBatch) -> Scores:
        """Scaled BM25 scores, the positive's raised: float32 [B, P * (1 + N)], columns as in `known_positives`."""
        texts = [self._query_text(row) for row in batch.query_rows.tolist()]
        logits = self._config.scale * self._bm25.scores(texts, batch.passage_rows)
        own = np.arange(len(logits))
        logits[own, batch.first_positive + own] += self._config.judged
        return logits
