"""A run in a folder: real checkpoints and indexes of a tiny random BERT, published as the services do."""

from __future__ import annotations

import itertools
import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from ance.data.dataset import Dataset
from ance.data.prepare import prepare
from ance.data.sources.beir import Beir
from ance.data.tokenizer import Tokenizer
from ance.model.bi_encoder import BiEncoder
from ance.model.config import ModelConfig
from ance.model.cross_encoder import CrossEncoder
from ance.model.encoding import TextEncoder
from ance.retrieval.config import IndexConfig
from ance.runtime.artifacts import publish
from ance.runtime.contracts import ArtifactRef, Kind, RunConfig
from ance.runtime.index_backend import IndexBackend, index_backend
from ance.runtime.layout import RunLayout
from ance.runtime.milvus.settings import MilvusSettings
from ance.runtime.run import OpenRun
from ance.runtime.store import Store
from services.search_api.settings import SearchSettings

WORDS = [
    "red",
    "green",
    "blue",
    "fast",
    "slow",
    "large",
    "small",
    "cat",
    "dog",
    "bird",
    "fish",
    "tree",
    "house",
    "river",
    "stone",
    "cloud",
]
PASSAGES = {
    f"p{n}": (first.title(), f"the {second} {first}")
    for n, (first, second) in enumerate(itertools.permutations(WORDS[:8], 2))
}
PAIRS = itertools.islice(itertools.permutations(WORDS[8:], 2), 37)
QUERIES = dict(
    zip((f"q{n}" for n in range(40)), ["fast red", "slow green cat", "large house", *map(" ".join, PAIRS)], strict=True)
)

Vectors = NDArray[np.float32]


def write_beir(folder: Path) -> Path:
    """The passages and queries above as a BEIR folder."""
    (folder / "qrels").mkdir(parents=True)
    corpus = ({"_id": key, "title": title, "text": text} for key, (title, text) in PASSAGES.items())
    (folder / "corpus.jsonl").write_text("".join(json.dumps(line) + "\n" for line in corpus))
    queries = ({"_id": key, "text": text} for key, text in QUERIES.items())
    (folder / "queries.jsonl").write_text("".join(json.dumps(line) + "\n" for line in queries))
    judged = "".join(f"{query}\tp{n}\t1\n" for n, query in enumerate(QUERIES))
    (folder / "qrels" / "dev.tsv").write_text("query-id\tcorpus-id\tscore\n" + judged)
    return folder


def run_config(encoder: Path) -> RunConfig:
    stage = {"steps": 1, "learning_rate": 0.1}
    return RunConfig.model_validate(
        {
            "run": "tiny",
            "dataset": "tiny",
            "model": {
                "name_or_path": str(encoder),
                "pooling": "mean",
                "max_query_tokens": 16,
                "max_passage_tokens": 16,
            },
            "training": {"warmup": stage | {"negatives": "bm25"}, "ance": stage | {"negatives": "ance"}},
        }
    )


@dataclass
class TinyRun:
    """A store with a prepared data set and a run in it, and the means to publish versions."""

    store: Store
    config: RunConfig
    folder: Path
    layout: RunLayout = field(default_factory=lambda: RunLayout("tiny"))
    milvus: MilvusSettings = field(default_factory=MilvusSettings)

    @classmethod
    def create(cls, folder: Path, encoder: Path) -> TinyRun:
        run = cls(Store.open(f"file://{folder / 'store'}", create=True), run_config(encoder), folder)
        prepare(Beir(write_beir(folder / "tiny")), Tokenizer.load(encoder), folder / "dataset", max_tokens=16)
        run.store.write(run.layout.run_yaml, json.dumps(run.config.model_dump(mode="json")).encode())
        publish(run.store, run.layout.dataset("tiny"), folder / "dataset", kind=Kind.DATASET)
        return run

    def copy(self, folder: Path) -> TinyRun:
        """The same run in a store of its own."""
        shutil.copytree(self.folder / "store", folder / "store")
        return TinyRun(Store.open(f"file://{folder / 'store'}"), self.config, folder)

    def in_milvus(self, settings: MilvusSettings) -> TinyRun:
        """The same run with its indexes in Milvus."""
        config = self.config.model_copy(update={"index": IndexConfig(backend="milvus")})
        return replace(self, config=config, milvus=settings)

    @property
    def backend(self) -> IndexBackend:
        """What keeps the indexes."""
        return index_backend(self.config.index, self.milvus, self.store, self.layout)

    @property
    def dataset(self) -> Dataset:
        return Dataset.open(self.path(self.layout.dataset("tiny")))

    def path(self, key: str) -> Path:
        """Where the store keeps a key."""
        path = self.store.local(key)
        assert path is not None
        return path

    def open(self, **settings: object) -> OpenRun[SearchSettings]:
        """The run as a search service sees it."""
        values = {"store": self.store.url, "run": "tiny", "cache_dir": self.folder / "cache"}
        values |= self.milvus.model_dump() | settings
        return OpenRun(SearchSettings.model_validate(values), self.config, self.store, self.layout)

    def publish_checkpoint(self, step: int, change: Callable[[BiEncoder], None] | None = None) -> ArtifactRef:
        """A checkpoint whose weights are drawn with the step as the seed."""
        model = BiEncoder.start(ModelConfig.model_validate(self.config.model.model_dump()))
        torch.manual_seed(step)
        with torch.no_grad():
            for weights in model.parameters():
                weights.copy_(torch.randn_like(weights))
        if change is not None:
            change(model)
        staging = self.folder / f"checkpoint-{step}"
        model.save(staging)
        return publish(
            self.store,
            self.layout.checkpoint(step),
            staging,
            kind=Kind.CHECKPOINT,
            run_id="tiny",
            step=step,
            pointer=self.layout.pointer("checkpoint"),
        )

    def publish_index(
        self,
        checkpoint: ArtifactRef,
        *,
        step: int | None = None,
        dataset: str = "tiny",
        change: Callable[[Vectors], Vectors] = lambda vectors: vectors,
        damage: Callable[[Path], None] = lambda folder: None,
        dev: Mapping[str, float] | None = None,
    ) -> ArtifactRef:
        """The index of all passages under a checkpoint as the indexer publishes it, or changed or damaged."""
        step = checkpoint.step if step is None else step
        encoder = TextEncoder.load(self.path(self.layout.checkpoint(checkpoint.step)))
        tokens = self.dataset.passages.tokens
        vectors = change(encoder.encode_rows(tokens, 0, len(tokens), 16))  # (passages, dim)
        staging = self.folder / f"index-{step}"
        staging.mkdir()
        builder = self.backend.build(vectors.shape[1], step=step, token=0)
        builder.add(vectors, np.arange(len(vectors), dtype=np.int64))
        builder.finish(staging)
        (staging / "eval.json").write_text("{}")
        damage(staging)
        return publish(
            self.store,
            self.layout.index(step),
            staging,
            kind=Kind.INDEX,
            run_id="tiny",
            step=step,
            parents={"checkpoint": checkpoint.manifest_sha256},
            stats={"checkpoint": checkpoint.model_dump(mode="json"), "dataset": dataset, "dev": dict(dev or {})},
            pointer=self.layout.pointer("index"),
        )

    def publish(self, step: int) -> ArtifactRef:
        """A whole version."""
        return self.publish_index(self.publish_checkpoint(step))

    def publish_reranker(self, step: int) -> ArtifactRef:
        """A cross-encoder that nobody has trained, with its head drawn with the step as the seed."""
        torch.manual_seed(step)
        staging = self.folder / f"reranker-{step}"
        CrossEncoder.start(self.config.model.name_or_path, max_tokens=32).save(staging)
        return publish(
            self.store,
            self.layout.reranker(step),
            staging,
            kind=Kind.RERANKER,
            run_id="tiny",
            step=step,
            pointer=self.layout.pointer("reranker"),
        )

    def expected(self, step: int, query: str, top_k: int) -> list[tuple[str, float]]:
        """Ids and scores of the best passages by exact search with a version's checkpoint, best first."""
        encoder = TextEncoder.load(self.path(self.layout.checkpoint(step)))
        passages = self.dataset.passages
        vectors = encoder.encode_rows(passages.tokens, 0, len(passages), 16)  # (passages, dim)
        scores = vectors @ encoder.encode_texts([query], 16)[0]  # (passages,)
        order = np.argsort(-scores, kind="stable")[:top_k]
        return [(passages.ids[row], float(scores[row])) for row in order]
