"""A pass over the corpus without a model: workers that make up vectors, and what a leader needs around it."""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from redis import Redis

from ance.runtime.contracts import ArtifactRef, EncodeTask, Part, ScoreTask, Task
from ance.runtime.index_backend import index_backend
from ance.runtime.lease import RunLease
from ance.runtime.metrics import IndexerMetrics
from ance.runtime.queue import TaskQueue
from ance.runtime.redis.lease import RedisLease
from ance.runtime.shards import rows_of
from ance.runtime.shutdown import Shutdown
from ance.runtime.store import Store
from services.indexer.builder import RefreshBuilder
from services.indexer.collector import Collector
from services.indexer.plan import owners, plan
from services.indexer.refresh import Refresh
from services.indexer.settings import IndexerSettings
from tests.services.service_run import ServiceRun, background

DIM = 8
RECONCILE_SECONDS = 0.1
MAX_DELIVERIES = 2


def made_up(task: EncodeTask) -> NDArray[np.float32]:
    """The same vectors for the same task of any run, float32 [rows, DIM]."""
    rng = np.random.default_rng(zlib.crc32(task.id.removeprefix(task.run_id).encode()))
    return rng.standard_normal((task.stop - task.start, DIM), np.float32)


def made_up_scores(store: Store, task: ScoreTask) -> NDArray[np.float32]:
    """The same score for the same pair of any run, float32 [pairs]."""
    return score_of(np.load(io.BytesIO(store.read(task.pairs_uri))))


def score_of(pairs: NDArray[np.int64]) -> NDArray[np.float32]:
    """The made-up score of each pair: evenly spread, as good as random."""
    return (np.sin(pairs % 9973) * 5).astype(np.float32)


@dataclass
class Worker:
    """Takes tasks from the real queue, stores made-up vectors, and remembers of which tasks nobody had before."""

    run: ServiceRun
    queue: TaskQueue
    handled: list[str] = field(default_factory=list)
    poison: set[str] = field(default_factory=set)
    """Ids of tasks that fail."""

    def work(self, tasks: int) -> None:
        """Do so many tasks, which must be there."""
        for _ in range(tasks):
            assert self.work_one(block_seconds=5)

    def work_one(self, block_seconds: float) -> bool:
        lease = self.queue.take(block_seconds)
        if lease is None:
            return False
        if lease.task.id in self.poison:
            return lease.fail("the disk is on fire")
        with lease:
            new = self.store(lease.task)
            lease.done({})
        if new:
            self.handled.append(lease.task.id)
        return True

    def store(self, task: Task) -> bool:
        """Store a task's vectors or scores, without telling anyone. Returns whether they were not there."""
        buffer = io.BytesIO()
        np.save(buffer, made_up_scores(self.run.store, task) if isinstance(task, ScoreTask) else made_up(task))
        return self.run.store.write_new(task.output_uri, buffer.getvalue())

    @contextmanager
    def working(self) -> Iterator[None]:
        """Work in the background for the length of the block."""
        with Shutdown(signals=()) as stop:

            def work() -> None:
                while not stop.requested:
                    self.work_one(block_seconds=0.02)

            with background(work, stop=stop.request):
                yield


@dataclass
class Pass:
    """A leader's side of passes over one run, and a worker."""

    run: ServiceRun
    client: Redis
    shutdown: Shutdown
    metrics: IndexerMetrics = field(default_factory=IndexerMetrics)
    environment: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.queue = self.as_worker("leader")
        self.lease = RunLease(RedisLease(self.client, f"{self.run.config.run}/indexer", "test"))
        settings = IndexerSettings.model_validate(
            self.run.settings(**{"reconcile_seconds": RECONCILE_SECONDS, **self.environment})
        )
        self.collector = Collector(
            self.run.store,
            self.queue,
            self.lease,
            settings,
            self.metrics,
            self.shutdown,
            owners=partial(owners, dataset=self.run.dataset, config=self.run.config),
        )
        self.refresh = Refresh(
            self.run.config,
            self.run.dataset,
            self.run.store,
            self.run.layout,
            self.collector,
            self.metrics,
            self.run.cache,
            index_backend(self.run.config.index, settings, self.run.store, self.run.layout),
        )
        self.worker = Worker(self.run, self.as_worker("worker"))

    def as_worker(self, name: str) -> TaskQueue:
        return TaskQueue(self.client, self.run.config.run, name, lease_seconds=5.0, max_deliveries=MAX_DELIVERIES)

    def new_builder(self, rows: Mapping[Part, int] | None = None) -> RefreshBuilder:
        """What takes the shards of a pass; `rows` are in place of the plan's."""
        run = self.run
        planned = rows_of(run.dataset, run.config, 20) | dict(rows or {})
        backend = self.refresh.backend
        return RefreshBuilder(run.dataset, run.config, planned, lambda dim: backend.build(dim, step=20, token=1))

    def tasks(self, step: int = 20) -> list[EncodeTask]:
        """The plan of a checkpoint that need not exist: nobody loads it."""
        return plan(checkpoint(self.run, step), rows_of(self.run.dataset, self.run.config, step), self.run.config)


def checkpoint(run: ServiceRun, step: int, *, final: bool = False) -> ArtifactRef:
    """What names a checkpoint, without the checkpoint."""
    return ArtifactRef(
        step=step,
        manifest_uri=f"{run.layout.checkpoint(step)}/manifest.json",
        manifest_sha256=f"{step:064x}",
        created_at=1000.0 + step,
        final=final,
    )


def ids_of(tasks: list[EncodeTask], part: Part | None = None) -> list[str]:
    return [task.id for task in tasks if part in (None, task.part)]
