"""A refresh pipeline for benchmarks: real Redis, indexer and inferencers, and this process as the trainer."""

import json
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from ance.cli.stack import LOCAL, free_port
from ance.cli.supervisor import ProcessSpec, Supervisor, python_service
from ance.data.dataset import Dataset
from ance.model.bi_encoder import BiEncoder
from ance.model.encoding import TextEncoder
from ance.runtime.artifacts import fetch, publish
from ance.runtime.contracts import ArtifactRef, Kind, Part, RunConfig
from ance.runtime.feed import CheckpointServer
from ance.runtime.layout import RunLayout
from ance.runtime.redis.local_server import server_command
from ance.runtime.shards import rows_of, shards_of
from ance.runtime.store import Store
from benchmarks.runs import created_run

REFRESH_SECONDS = 1800.0
"""A refresh that takes longer has failed; one whose processes have died is noticed at once."""
SETTLE_SECONDS = 15.0


@dataclass
class Pipeline:
    """Publishes checkpoints and waits for what the services make of them."""

    config: RunConfig
    store: Store
    feed: CheckpointServer
    supervisor: Supervisor
    environment: dict[str, str]
    folder: Path
    model: BiEncoder
    layout: RunLayout = field(init=False)
    step: int = 0

    def __post_init__(self) -> None:
        self.layout = RunLayout(self.config.run)

    def add_inferencer(self, name: str) -> None:
        """Start an inferencer; see `settle`."""
        environment = {**self.environment, "ANCE_METRICS_PORT": str(free_port())}
        self.supervisor.start(python_service(name, "services.inferencer", environment))

    def remove_inferencer(self, name: str) -> None:
        """Stop an inferencer."""
        self.supervisor.remove(name)

    def settle(self) -> None:
        """Let processes that have just come or gone finish doing so."""
        time.sleep(SETTLE_SECONDS)
        self.refresh()

    def refresh(self) -> dict[str, Any]:
        """Publish a checkpoint, wait for its version, return the record of the refresh."""
        self.step += 1
        staging = Path(tempfile.mkdtemp(dir=self.folder))
        self.model.save(staging / "checkpoint")
        ref: ArtifactRef = publish(
            self.store,
            self.layout.checkpoint(self.step),
            staging / "checkpoint",
            kind=Kind.CHECKPOINT,
            run_id=self.config.run,
            step=self.step,
            pointer=self.layout.pointer("checkpoint"),
        )
        self.feed.announce(ref)
        key = self.layout.refresh_record(self.step)
        deadline = time.monotonic() + REFRESH_SECONDS
        while not self.store.exists(key):
            self.supervisor.check()
            if time.monotonic() > deadline:
                raise TimeoutError(f"no version of step {self.step} after {REFRESH_SECONDS:.0f} s")
            time.sleep(0.05)
        record: dict[str, Any] = json.loads(self.store.read(key))
        return record

    def encode_seconds(self) -> float:
        """Time to encode the rows of a refresh in this process, one thread: the least a refresh can take."""
        torch.set_num_threads(1)
        dataset = Dataset.open(fetch(self.store, self.layout.dataset(self.config.dataset), self.folder))
        model, encoding = self.config.model, self.config.encoding
        folder = fetch(self.store, self.layout.checkpoint(self.step), self.folder)
        encoder = TextEncoder.load(folder, dtype=encoding.dtype, token_budget=encoding.token_budget)
        parts = {
            Part.TRAIN_QUERIES: (dataset.queries("train").tokens, model.max_query_tokens),
            Part.DEV_QUERIES: (dataset.queries("dev").tokens, model.max_query_tokens),
            Part.PASSAGES: (dataset.passages.tokens, model.max_passage_tokens),
        }
        shards = shards_of(rows_of(dataset, self.config, self.step), encoding.shard_size)
        began = time.perf_counter()
        for shard in shards:
            tokens, longest = parts[shard.part]
            encoder.encode_rows(tokens, shard.start, shard.stop, longest)
        return time.perf_counter() - began


@contextmanager
def pipeline(config: RunConfig, dataset: str) -> Iterator[Pipeline]:
    """Prepare the data set and start Redis and an indexer, all on this machine with one thread each."""
    with created_run(config, dataset) as (store, folder):
        redis_port = free_port()
        supervisor = Supervisor(folder / "logs")
        feed = CheckpointServer(0, config.run, host=LOCAL)
        port = feed.start()
        environment = {
            "ANCE_STORE": store.url,
            "ANCE_RUN": config.run,
            "ANCE_REDIS_URL": f"redis://{LOCAL}:{redis_port}/0",
            "ANCE_CACHE_DIR": str(folder),
            "ANCE_LOG_FORMAT": "json",
            "ANCE_FEED": f"{LOCAL}:{port}",
            "ANCE_THREADS": "1",
            "OMP_NUM_THREADS": "1",
        }
        try:
            redis = ProcessSpec("redis", server_command(redis_port, folder), stops_last=True)
            supervisor.start(redis)
            own = {**environment, "ANCE_METRICS_PORT": str(free_port())}
            supervisor.start(python_service("indexer", "services.indexer", own))
            yield Pipeline(config, store, feed, supervisor, environment, folder, BiEncoder.start(config.model))
        finally:
            supervisor.stop()
            feed.stop()
