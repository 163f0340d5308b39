"""Runs in one store, with real checkpoints of the random BERT of the system tests."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np
import torch

from ance.data.dataset import Dataset
from ance.data.prepare import prepare
from ance.data.sources.beir import Beir
from ance.data.tokenizer import Tokenizer
from ance.model.bi_encoder import BiEncoder
from ance.model.encoding import TextEncoder
from ance.negatives.mined import MinedNegatives
from ance.negatives.pair_scores import PairScores
from ance.runtime.artifacts import fetch, publish
from ance.runtime.contracts import ArtifactRef, Kind, RunConfig
from ance.runtime.layout import RunLayout
from ance.runtime.store import Store
from tests.system.tiny import PASSAGES, TRAIN, config, write_beir, write_encoder


def prepare_store(folder: Path, passages: int = PASSAGES) -> Path:
    """Fill a folder with an encoder and a store that holds the data set `salad`."""
    torch.manual_seed(0)
    encoder = write_encoder(folder / "encoder")
    prepare(Beir(write_beir(folder / "salad", passages)), Tokenizer.load(encoder), folder / "dataset", max_tokens=16)
    store = Store.open(f"file://{folder / 'store'}", create=True)
    publish(store, RunLayout.dataset("salad"), folder / "dataset", kind=Kind.DATASET)
    return folder


@dataclass(frozen=True)
class ServiceRun:
    """A run, and the means to publish what its services wait for."""

    config: RunConfig
    store: Store
    layout: RunLayout
    dataset: Dataset
    cache: Path

    @classmethod
    def create(cls, folder: Path, name: str, cache: Path, **sections: Mapping[str, object]) -> ServiceRun:
        """A run in the store of a prepared folder. A section replaces keys of the configuration of `config`."""
        values = config(folder / "encoder", run=name)
        for section, changes in sections.items():
            values[section] = {**values.get(section, {}), **changes}
        store = Store.open(f"file://{folder / 'store'}")
        dataset = Dataset.open(fetch(store, RunLayout.dataset("salad"), cache))
        return cls(RunConfig.model_validate(values), store, RunLayout(name), dataset, cache)

    def settings(self, **values: Any) -> dict[str, Any]:
        """Values for the settings of a service of this run."""
        assert values.keys().isdisjoint({"store", "run"})
        return {"store": self.store.url, "run": self.config.run, "cache_dir": self.cache, "holder": "test", **values}

    def publish_checkpoint(self, step: int, *, final: bool = False) -> ArtifactRef:
        """A checkpoint whose weights are drawn with the step as the seed."""
        model = BiEncoder.start(self.config.model)
        torch.manual_seed(step)
        with torch.no_grad():
            for weights in model.parameters():
                weights.copy_(torch.randn_like(weights))
        staging = self._staging()
        model.save(staging)
        (staging / "trainer_state").mkdir()
        (staging / "trainer_state" / "optimiser.safetensors").write_bytes(b"of no use to an encoder")
        return publish(
            self.store,
            self.layout.checkpoint(step),
            staging,
            kind=Kind.CHECKPOINT,
            run_id=self.config.run,
            step=step,
            pointer=self.layout.pointer("checkpoint"),
            final=final,
        )

    def encoder(self, checkpoint: ArtifactRef) -> TextEncoder:
        """An encoder of a published checkpoint, made without the services."""
        return TextEncoder.load(fetch(self.store, checkpoint, self.cache))

    def publish_negatives(
        self,
        step: int,
        *,
        passage: int | None = None,
        pointer: bool = True,
        created_at: float = 0.0,
        teacher: PairScores | None = None,
    ) -> ArtifactRef:
        """Negatives of every training query, all of them passage `passage`: row 100 + step by default."""
        rows = np.arange(TRAIN, dtype=np.int64)
        listed = np.full((TRAIN, 1), 100 + step if passage is None else passage, np.int64)
        staging = self._staging()
        MinedNegatives(rows, listed, listed, np.zeros((TRAIN, 1), np.float32), teacher=teacher).save(staging)
        return publish(
            self.store,
            self.layout.negatives(step),
            staging,
            kind=Kind.NEGATIVES,
            run_id=self.config.run,
            step=step,
            stats={"checkpoint_created_at": created_at},
            pointer=self.layout.pointer("negatives") if pointer else None,
        )

    def path(self, key: str) -> Path:
        """Where the store keeps a key."""
        path = self.store.local(key)
        assert path is not None
        return path

    def _staging(self) -> Path:
        return Path(mkdtemp(dir=self.cache))


@contextmanager
def background(work: Callable[[], None], stop: Callable[[], None]) -> Iterator[None]:
    """Run `work` in a thread for the length of the block; what it raises is raised at the end."""
    errors: list[BaseException] = []

    def guarded() -> None:
        try:
            work()
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=guarded)
    thread.start()
    try:
        yield
    finally:
        stop()
        thread.join()
    if errors:
        raise errors[0]


def wait_until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    """Return once the condition is true."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.005)
