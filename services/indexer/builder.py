"""Index and negatives, grown shard by shard while the corpus is still being encoded."""

import numpy as np
from numpy.typing import NDArray

from ance.data.dataset import Dataset
from ance.evaluation.overlap import overlap
from ance.negatives.mined import ranking_depth
from ance.retrieval.interfaces import GrowingIndex
from ance.retrieval.topk import StreamingTopK
from ance.runtime.contracts import EncodeTask, Part, RunConfig
from ance.runtime.index_backend import NewIndex
from services.indexer.collector import FinishedShard
from services.indexer.positives import PositiveVectors

PROBE_DEPTH = 10
"""The recall probe asks for this many passages: what a person reads."""


class QueryVectors:
    """The query vectors of one part, filled shard by shard. `vectors` is float32 [rows, D] once complete."""

    def __init__(self, rows: int) -> None:
        self._missing = rows
        self._rows = rows
        self.vectors: NDArray[np.float32] = np.zeros((0, 0), np.float32)

    @property
    def complete(self) -> bool:
        """True when every row has arrived."""
        return self._missing == 0

    def add(self, task: EncodeTask, vectors: NDArray[np.float32]) -> None:
        """Place the rows of a finished shard."""
        if not self.vectors.size:
            self.vectors = np.empty((self._rows, vectors.shape[1]), np.float32)
        self.vectors[task.start : task.stop] = vectors
        self._missing -= len(vectors)


class RefreshBuilder:
    """Takes finished shards in any order; after the last one, ranking and index are finished too.

    Passages that arrive before the last query shard wait: query tasks are enqueued first, so they are few.
    """

    def __init__(self, dataset: Dataset, config: RunConfig, rows: dict[Part, int], new_index: NewIndex) -> None:
        self._dataset = dataset
        self._config = config
        self._new_index = new_index
        self._queries = {part: QueryVectors(rows[part]) for part in (Part.TRAIN_QUERIES, Part.DEV_QUERIES)}
        self._waiting: list[FinishedShard] = []
        self._rankings: dict[Part, StreamingTopK] | None = None
        self._index: GrowingIndex | None = None
        self._positives: PositiveVectors | None = None
        if config.negatives.lookahead and rows[Part.TRAIN_QUERIES]:
            self._positives = PositiveVectors(dataset.qrels("train"), config.training.min_positive_grade)

    def add(self, shard: FinishedShard) -> None:
        """Take one finished shard: query rows are kept; passages are ranked and indexed at once."""
        if shard.task.part in self._queries:
            self._queries[shard.task.part].add(shard.task, shard.vectors)
        else:
            self._waiting.append(shard)
        if all(queries.complete for queries in self._queries.values()):
            for passages in self._waiting:
                self._add_passages(passages)
            self._waiting.clear()

    def ranking(self, part: Part) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Passage rows and scores by rank for every query of a part, int64 and float32 [Q, k]."""
        assert self._rankings is not None, "no passages were added"
        return self._rankings[part].result()

    @property
    def index(self) -> GrowingIndex:
        """The index with every passage added."""
        assert self._index is not None, "no passages were added"
        return self._index

    def recall_probe(self) -> dict[str, float]:
        """How much of exact search the index finds, on a sample of dev (else training) queries.

        Returns:
            {"queries", "k", "recall"}, recall the mean share of the exact top k that is among the index's; {} without
            queries.
        """
        part = Part.DEV_QUERIES if len(self._queries[Part.DEV_QUERIES].vectors) else Part.TRAIN_QUERIES
        sample = self._queries[part].vectors[: self._config.index.probe_queries]
        if not len(sample):
            return {}
        exact = self.ranking(part)[0][: len(sample), :PROBE_DEPTH]
        found, _ = self.index.search(sample, PROBE_DEPTH)
        return {"queries": len(sample), "k": PROBE_DEPTH, "recall": round(overlap(exact, found), 4)}

    def neighbours_of_positives(self) -> NDArray[np.int64] | None:
        """The passages next to the positive of each training query, int64 [Q, k], padded with -1.

        None unless look-ahead negatives are configured. An approximate index finds approximate neighbours.
        """
        if self._positives is None:
            return None
        depth = ranking_depth(self._dataset.qrels("train"), self._config.negatives)
        ids, _ = self.index.search(self._positives.vectors, depth)
        return np.where(self._positives.rows[:, None] >= 0, ids, -1)

    def _add_passages(self, shard: FinishedShard) -> None:
        if self._rankings is None:
            self._rankings = {
                part: StreamingTopK(queries.vectors, self._depth(part))
                for part, queries in self._queries.items()
                if len(queries.vectors)
            }
        if self._index is None:
            self._index = self._new_index(shard.vectors.shape[1])
        rows = np.arange(shard.task.start, shard.task.stop, dtype=np.int64)
        for ranking in self._rankings.values():
            ranking.add(shard.vectors, rows)
        self._index.add(shard.vectors, rows)
        if self._positives is not None:
            self._positives.add(shard.vectors, shard.task.start)

    def _depth(self, part: Part) -> int:
        if part is Part.DEV_QUERIES:
            return self._config.evaluation.depth
        return ranking_depth(self._dataset.qrels("train"), self._config.negatives)
