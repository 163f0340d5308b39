"""Runs that benchmarks serve: one that has been trained, or one whose versions the benchmark publishes itself."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ance.data.dataset import Dataset
from ance.model.bi_encoder import BiEncoder
from ance.model.cross_encoder import CrossEncoder
from ance.model.encoding import TextEncoder
from ance.retrieval.index import IndexBuilder
from ance.runtime.artifacts import fetch, publish
from ance.runtime.contracts import ArtifactRef, Kind, RunConfig
from ance.runtime.layout import RunLayout
from ance.runtime.run import read_config
from ance.runtime.store import Store
from benchmarks.options import DEMO
from benchmarks.runs import created_run, load_config

SETTINGS = {"model.max_passage_tokens": "128"}


@dataclass
class ServedRun:
    """A run, and a folder for copies of its artifacts."""

    config: RunConfig
    store: Store
    folder: Path
    layout: RunLayout = field(init=False)
    dataset: Dataset = field(init=False)

    def __post_init__(self) -> None:
        self.layout = RunLayout(self.config.run)
        self.dataset = Dataset.open(fetch(self.store, self.layout.dataset(self.config.dataset), self.folder))

    def queries(self, split: str = "test") -> list[str]:
        """Texts of a split's queries."""
        return [document["text"] for document in self.dataset.queries(split).documents]


@dataclass
class PublishedRun(ServedRun):
    """A run to publish versions into, all with the weights of the start model."""

    model: BiEncoder = field(init=False)
    vectors: NDArray[np.float32] = field(init=False)
    """Of the passages, float32 [passages, D]."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.model = BiEncoder.start(self.config.model)
        tokens = self.dataset.passages.tokens
        encoder = TextEncoder(self.model, self.dataset.special)
        self.vectors = encoder.encode_rows(tokens, 0, len(tokens), self.config.model.max_passage_tokens)

    def publish(self, step: int, *, scale: float = 1.0) -> ArtifactRef:
        """A version that nobody looks for yet; see `announce`.

        That is its checkpoint, and its index with vectors times `scale`, by which its scores are known.
        """
        checkpoint = self._publish(Kind.CHECKPOINT, step, self.model.save)

        def write(folder: Path) -> None:
            builder = IndexBuilder(self.config.index.factory, self.vectors.shape[1], len(self.vectors))
            builder.add(self.vectors * np.float32(scale), np.arange(len(self.vectors), dtype=np.int64))
            builder.finish(folder)

        stats = {"checkpoint": checkpoint.model_dump(mode="json"), "dataset": self.config.dataset}
        return self._publish(Kind.INDEX, step, write, stats)

    def announce(self, index: ArtifactRef) -> None:
        """Make an index the newest."""
        self.store.move_pointer(self.layout.pointer("index"), index)

    def publish_reranker(self) -> None:
        """A cross-encoder from the start model, untrained."""
        model = self.config.model
        reranker = self._publish(Kind.RERANKER, 1, CrossEncoder.start(model.name_or_path, model.layers).save)
        self.store.move_pointer(self.layout.pointer("reranker"), reranker)

    def _publish(
        self, kind: Kind, step: int, write: Callable[[Path], None], stats: Mapping[str, object] | None = None
    ) -> ArtifactRef:
        staging = Path(tempfile.mkdtemp(dir=self.folder)) / kind.value
        write(staging)
        prefix = self.layout.version(kind, step)
        return publish(self.store, prefix, staging, kind=kind, run_id=self.config.run, step=step, stats=stats)


@contextmanager
def published_run(dataset: str) -> Iterator[PublishedRun]:
    """A run of the demo's configuration over a data set, in a temporary folder, that serves version 1."""
    config = load_config(DEMO, SETTINGS)
    with created_run(config, dataset) as (store, folder):
        run = PublishedRun(config, store, folder)
        run.announce(run.publish(1))
        yield run


@contextmanager
def trained_run(store_url: str, run: str) -> Iterator[ServedRun]:
    """A run that was trained before, e.g. by `ance demo`; copies of its artifacts go to a temporary folder."""
    store = Store.open(store_url)
    with tempfile.TemporaryDirectory() as folder:
        yield ServedRun(read_config(store, RunLayout(run)), store, Path(folder))
