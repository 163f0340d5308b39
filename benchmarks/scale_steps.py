"""The steps of a run over a random corpus, each in a process of its own whose time and memory are measured."""

from __future__ import annotations

import json
import math
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from ance.cli.models import resolve_model
from ance.cli.stack import LOCAL, free_port
from ance.data.dataset import Dataset
from ance.data.prepare import prepare
from ance.data.tokenizer import Tokenizer
from ance.retrieval.index import PassageIndex
from ance.runtime.artifacts import fetch, publish
from ance.runtime.contracts import ArtifactRef, Kind, RunConfig
from ance.runtime.layout import RunLayout
from ance.runtime.redis.local_server import LocalRedis
from ance.runtime.shards import rows_of
from ance.runtime.store import Store
from benchmarks.options import DEMO
from benchmarks.processes import cpu_seconds, peak_mb
from benchmarks.random_corpus import WORDS_A_PASSAGE, RandomCorpus, words_of
from benchmarks.runs import load_config
from benchmarks.serving import started, wait_for
from services.indexer.plan import plan

DATASET = "random"
QUERIES = {"train": 1000, "dev": 200}
DIM = 16
STEP = 1
REFRESH_SECONDS = 7200.0
"""Longest that a refresh is waited for."""

Step = Callable[["World"], Callable[[], object]]
"""Gets ready, and returns what is to be measured."""


@dataclass(frozen=True, slots=True)
class World:
    """A folder with a store, a corpus of so many rows, and a run that cuts it into shards of one size."""

    folder: Path
    rows: int
    shard_rows: int
    run: str = "scale"

    @property
    def store(self) -> Store:
        """Of this world."""
        return Store.open(f"file://{self.folder / 'store'}", create=True)

    @property
    def config(self) -> RunConfig:
        """The demo's, for a run that never ends."""
        changes = {"run": self.run, "dataset": DATASET, "encoding.shard_size": str(self.shard_rows)}
        steps = {"training.warmup.steps": "0", "training.ance.steps": "1000000"}
        return load_config(DEMO, changes | steps)

    @property
    def dataset(self) -> Dataset:
        """As every service opens it: checked against its manifest, then mapped."""
        return Dataset.open(fetch(self.store, RunLayout.dataset(DATASET), self.folder))


@dataclass(frozen=True, slots=True)
class Measured:
    """What a step took."""

    seconds: float
    cpu_seconds: float
    """Processor time, which a busy machine does not blur."""
    peak_mb: float
    """Peak resident memory of its process, in MiB."""


@dataclass(frozen=True, slots=True)
class Refreshed:
    """What a refresh took of the indexer: from the announcement of its checkpoint to the published index."""

    measured: Measured
    shards: int


def measure(step: Step, world: World) -> Measured:
    """Time and peak memory of a step in a fresh process."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_measure_here, (step, world))


def _measure_here(step: Step, world: World) -> Measured:
    work = step(world)
    began, used = time.perf_counter(), time.process_time()
    work()
    return Measured(time.perf_counter() - began, time.process_time() - used, peak_mb(os.getpid()))


def preparing(world: World) -> Callable[[], object]:
    """Tokenise the corpus and publish it."""
    model = resolve_model("minilm")
    tokenizer, words = Tokenizer.load(model), words_of(Path(model))

    def work() -> None:
        staging = world.folder / "prepared"
        prepare(RandomCorpus(world.rows, QUERIES, words), tokenizer, staging, max_tokens=WORDS_A_PASSAGE)
        publish(world.store, RunLayout.dataset(DATASET), staging, kind=Kind.DATASET)

    return work


def opening(world: World) -> Callable[[], object]:
    """Check the data set and map it."""
    return lambda: world.dataset


def planning(world: World) -> Callable[[], object]:
    """Cut the corpus into tasks."""
    dataset, config = world.dataset, world.config
    ref = ArtifactRef(step=STEP, manifest_uri="x", manifest_sha256="0" * 64, created_at=0)
    return lambda: plan(ref, rows_of(dataset, config, STEP), config)


def loading(world: World) -> Callable[[], object]:
    """Check the index, map it, and answer the first query."""
    layout, query = RunLayout(world.config.run), np.ones((1, DIM), np.float32)
    return lambda: PassageIndex.open(fetch(world.store, layout.index(STEP), world.folder)).search(query, 10)


def refresh(world: World, encoders: int = 1, rows_a_second: float = math.inf) -> Refreshed:
    """A refresh by the real indexer with real Redis, and encoders that make their vectors up, at such a pace each."""
    store, config, layout = world.store, world.config, RunLayout(world.config.run)
    store.write_new(layout.run_yaml, yaml.safe_dump(config.model_dump(mode="json")).encode())
    port = free_port()
    with LocalRedis() as redis:
        environment = {
            "ANCE_STORE": store.url,
            "ANCE_RUN": config.run,
            "ANCE_REDIS_URL": redis.url,
            "ANCE_CACHE_DIR": str(world.folder),
            "ANCE_METRICS_PORT": str(port),
            "ANCE_POLL_SECONDS": "0.1",
            "ANCE_THREADS": "1",
        }
        told = [store.url, config.run, redis.url, str(DIM), str(rows_a_second)]
        with ExitStack() as processes:
            indexer = processes.enter_context(started([sys.executable, "-m", "services.indexer"], environment))
            for _ in range(encoders):
                processes.enter_context(started([sys.executable, "-m", "benchmarks.stub_encoder", *told], {}))
            wait_for(f"http://{LOCAL}:{port}/readyz", indexer)
            before = cpu_seconds(indexer.pid)
            began = time.perf_counter()
            _announce(store, layout)
            while store.read_pointer(layout.pointer("index")) is None:
                if indexer.poll() is not None or time.perf_counter() - began > REFRESH_SECONDS:
                    raise RuntimeError(f"the refresh of {world.rows} rows has not come to its end")
                time.sleep(0.02)
            seconds = time.perf_counter() - began
            used, peak = cpu_seconds(indexer.pid) - before, peak_mb(indexer.pid)
    record: dict[str, Any] = json.loads(store.read(layout.refresh_record(STEP)))
    shards = sum(math.ceil(rows / world.shard_rows) for rows in record["rows"].values())
    return Refreshed(Measured(seconds, used, peak), shards)


def _announce(store: Store, layout: RunLayout) -> None:
    """A checkpoint that nobody loads."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "checkpoint").mkdir()
        (Path(folder) / "checkpoint" / "weights").write_bytes(b"none")
        publish(
            store,
            layout.checkpoint(STEP),
            Path(folder) / "checkpoint",
            kind=Kind.CHECKPOINT,
            run_id=layout.run,
            step=STEP,
            pointer=layout.pointer("checkpoint"),
        )
