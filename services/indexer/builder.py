"""Index and negatives, grown shard by shard while the corpus is still being encoded."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ance.data.dataset import Dataset
from ance.negatives.mined import ranking_depth
from ance.retrieval.interfaces import GrowingIndex
from ance.retrieval.merging import Ranking
from ance.retrieval.topk import StreamingTopK
from ance.runtime.contracts import EncodeTask, FileEntry, Part, RunConfig
from ance.runtime.index_backend import NewIndex
from services.indexer.mined import PROBE_DEPTH, probe_part, recall
from services.indexer.positives import PositiveVectors
from services.indexer.shards import FinishedShard


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
        self._rows = rows
        self._new_index = new_index
        self._queries = {part: QueryVectors(rows[part]) for part in (Part.TRAIN_QUERIES, Part.DEV_QUERIES)}
        self._waiting: list[FinishedShard] = []
        self._rankings: dict[Part, StreamingTopK] | None = None
        self._index: GrowingIndex | None = None
        self.vectors = 0
        """Vectors in the index: at least one a passage."""
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

    def finish(self, folder: Path) -> tuple[FileEntry, ...]:
        """Write the index with every passage added; see `Mined`."""
        self._grown.finish(folder)
        return ()

    def probe(self) -> Ranking | None:
        """What the index finds for the queries of the recall probe; None without queries."""
        part = probe_part(self._rows)
        if part is None:
            return None
        return self._grown.search(self._queries[part].vectors[: self._config.index.probe_queries], PROBE_DEPTH)

    def recall_probe(self) -> dict[str, Any]:
        """How much of exact search the index finds, on a sample of dev (else training) queries; see `recall`."""
        part, found = probe_part(self._rows), self.probe()
        if part is None or found is None:
            return {}
        return recall(self.ranking(part)[0][: len(found[0])], found[0])

    def neighbours_of_positives(self) -> NDArray[np.int64] | None:
        """The passages next to the positive of each training query, int64 [Q, k], padded with -1.

        None unless look-ahead negatives are configured. An approximate index finds approximate neighbours.
        """
        if self._positives is None:
            return None
        depth = ranking_depth(self._dataset.qrels("train"), self._config.negatives)
        ids, _ = self._grown.search(self._positives.vectors, depth)
        return np.where(self._positives.rows[:, None] >= 0, ids, -1)

    @property
    def _grown(self) -> GrowingIndex:
        assert self._index is not None, "no passages were added"
        return self._index

    def _add_passages(self, shard: FinishedShard) -> None:
        if self._rankings is None:
            self._rankings = {
                part: StreamingTopK(queries.vectors, self._depth(part))
                for part, queries in self._queries.items()
                if len(queries.vectors)
            }
        if self._index is None:
            self._index = self._new_index(shard.vectors.shape[1])
        for ranking in self._rankings.values():
            ranking.add(shard.vectors, shard.rows)
        self._index.add(shard.vectors, shard.rows)
        self.vectors += len(shard.vectors)
        if self._positives is not None:
            self._positives.add(shard.vectors, shard.rows)

    def _depth(self, part: Part) -> int:
        if part is Part.DEV_QUERIES:
            return self._config.evaluation.depth
        return ranking_depth(self._dataset.qrels("train"), self._config.negatives)
