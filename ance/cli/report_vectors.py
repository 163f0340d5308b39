"""The parts of a report that need vectors: read from the newest version that is whole."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ance.data.dataset import Dataset
from ance.evaluation.report.negatives import ScoreTail, score_tail
from ance.evaluation.report.query_map import ANCE, BM25, POSITIVE, RANDOM, Neighbourhood, distinct_rows
from ance.model.chunks import Chunking
from ance.model.config import ModelConfig
from ance.negatives.mined import MinedNegatives
from ance.negatives.sampling import random_negatives
from ance.runtime.artifacts import fetch
from ance.runtime.artifacts.manifests import published
from ance.runtime.contracts import Kind, Part

if TYPE_CHECKING:
    from ance.runtime.layout import RunLayout
    from ance.runtime.store import Store

SEED = 42
TAIL_QUERIES = 10
NEGATIVES_OF_A_KIND = 50

Vectors = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class EncodedVersion:
    """The vectors that one checkpoint gave to every part.

    Attributes:
        step: of the checkpoint.
        folder: `<part>/<shard>.npy` files.
        firsts: where each passage's vectors begin among those of all, int64 [passages]: it may be in chunks.
    """

    step: int
    folder: Path
    firsts: NDArray[np.int64]

    @classmethod
    def newest(
        cls, store: Store, layout: RunLayout, dataset: Dataset, model: ModelConfig, cache: Path
    ) -> EncodedVersion | None:
        """The version of the newest index; None before the first, or where retention took its vectors.

        Another store than a folder is downloaded from: 4 * dim bytes a passage.
        """
        index = store.read_pointer(layout.pointer("index"))
        if index is None or published(store, layout.embeddings(index.step)) is None:
            return None
        # Sizes are compared, not hashes: a picture is no reason to read a corpus twice.
        folder = fetch(store, layout.embeddings(index.step), cache, verify=False)
        counts = Chunking.of(model, dataset.special).counts(dataset.passages.tokens)
        return cls(index.step, folder, np.cumsum(counts) - counts)

    def shards(self, part: Part) -> Iterator[Vectors]:
        """The vectors of a part in row order, memory-mapped, float32 [vectors of a shard, D]."""
        for path in sorted((self.folder / part).glob("*.npy"), key=lambda path: int(path.stem)):
            yield np.load(path, mmap_mode="r", allow_pickle=False)

    def take(self, part: Part, rows: NDArray[np.int64]) -> Vectors:
        """The vectors of some rows, float32 [n, D]; of a passage in chunks the first."""
        rows = self.firsts[rows] if part is Part.PASSAGES else rows
        found: dict[int, Vectors] = {}
        start = 0
        for shard in self.shards(part):
            found |= {
                int(row): np.array(shard[row - start]) for row in rows[(rows >= start) & (rows < start + len(shard))]
            }
            start += len(shard)
        return np.stack([found[int(row)] for row in rows])


def tail_of(version: EncodedVersion) -> ScoreTail | None:
    """The score tail of a few dev queries, drawn at random; None for a run without dev queries."""
    queries = list(version.shards(Part.DEV_QUERIES))
    if not queries:
        return None
    encoded = sum(map(len, queries))
    rows = np.random.default_rng(SEED).permutation(encoded)[:TAIL_QUERIES]
    vectors = np.concatenate(queries)[rows]
    scores = np.concatenate([vectors @ shard.T for shard in version.shards(Part.PASSAGES)], axis=1)
    return score_tail(np.maximum.reduceat(scores, version.firsts, axis=1), version.step)


def neighbourhood_of(
    version: EncodedVersion, store: Store, layout: RunLayout, dataset: Dataset, cache: Path
) -> Neighbourhood | None:
    """The training query with the most positives among its positives and negatives; None without mined negatives."""
    folders = {ANCE: layout.version(Kind.NEGATIVES, version.step), BM25: layout.bm25_negatives}
    mined = {
        kind: MinedNegatives.open(fetch(store, folder, cache))
        for kind, folder in folders.items()
        if published(store, folder) is not None
    }
    if ANCE not in mined:
        return None
    qrels = dataset.qrels("train")
    query = int(qrels.positive_counts().argmax())
    positives = qrels.padded_positives(np.array([query]))
    rng = np.random.default_rng(SEED)
    count = min(NEGATIVES_OF_A_KIND, len(dataset.passages) // 4)
    rows = distinct_rows(
        {
            POSITIVE: positives[0],
            RANDOM: random_negatives(len(dataset.passages), positives, count, rng)[0],
            **{kind: _candidates(negatives, query)[:count] for kind, negatives in mined.items()},
        }
    )
    every = np.concatenate(list(rows.values()))
    return Neighbourhood(
        step=version.step,
        query=dataset.queries("train").documents[query]["text"],
        vector=version.take(Part.TRAIN_QUERIES, np.array([query]))[0],
        kinds=[kind for kind, found in rows.items() for _ in found],
        labels=[_label(dataset, int(row)) for row in every],
        vectors=version.take(Part.PASSAGES, every),
    )


def _candidates(negatives: MinedNegatives, query: int) -> NDArray[np.int64]:
    """What a kind has listed for a query, best first; nothing if the query is not listed."""
    return np.asarray(negatives.candidates[negatives.queries == query]).reshape(-1)


def _label(dataset: Dataset, row: int) -> str:
    document = dataset.passages.documents[row]
    return document["title"] or document["text"]
