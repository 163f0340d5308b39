"""A trainer wired as `services.trainer.wiring` wires it, in this process."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from redis import Redis

from ance.model.bi_encoder import BiEncoder
from ance.runtime.artifacts import fetch
from ance.runtime.bm25_cache import open_bm25
from ance.runtime.feed import CheckpointServer
from ance.runtime.health import Health
from ance.runtime.holds import VersionHold
from ance.runtime.index_backend import FaissBackend
from ance.runtime.lease import RunLease
from ance.runtime.metrics import TrainerMetrics
from ance.runtime.redis.lease import RedisLease
from ance.runtime.shutdown import Shutdown
from services.trainer.boundary import Boundary
from services.trainer.checkpoints import Checkpoints
from services.trainer.duties import Leader
from services.trainer.fresh_negatives import FreshNegatives
from services.trainer.live_index import LiveIndexes
from services.trainer.loop import Trainer, TrainingInterrupted
from services.trainer.negative_supply import NegativeSupply
from services.trainer.ranks import Place, Ranks
from services.trainer.series import Series
from services.trainer.settings import TrainerSettings
from tests.services.service_run import ServiceRun

POLL_SECONDS = 0.01

AfterStep = Callable[[int], None]


class ObservedSeries(Series):
    """Calls back after each step."""

    after_step: AfterStep = staticmethod(lambda step: None)

    def add(self, record: dict[str, Any]) -> None:
        super().add(record)
        self.after_step(record["step"])


class TrainerProcess:
    """All that one trainer process has. `run` is its life."""

    def __init__(self, run: ServiceRun, client: Redis, shutdown: Shutdown, **settings_values: object) -> None:
        config, store, layout = run.config, run.store, run.layout
        self.run_under_test = run
        self.metrics = TrainerMetrics()
        self.health = Health()
        self.finish: Callable[[], bool] = lambda: False
        self.announced: list[tuple[str, str]] = []
        self.lease = RunLease(RedisLease(client, f"{config.run}/trainer", "test"))
        self.feed = CheckpointServer(0, config.run)
        ranks = Ranks(Place(rank=0, world_size=1, local_rank=0))
        checkpoints = Checkpoints(store, layout, config, self.feed, self.metrics, self.lease, run.cache)
        self.series = ObservedSeries(store, layout)
        leader = Leader(
            config,
            run.dataset,
            store,
            layout,
            run.cache,
            ranks,
            self.lease,
            self.feed,
            checkpoints,
            self.series,
            announce=lambda reason, note: self.announced.append((reason, note)),
        )
        self.fresh = FreshNegatives(
            store, VersionHold(store, layout, "test"), leader.newest_negatives, run.cache, POLL_SECONDS
        )
        stop = self.health.beating(lambda: shutdown.requested or self.lease.lost.is_set())
        supply = NegativeSupply(
            run.dataset,
            self.fresh,
            leader.bm25,
            config,
            self.metrics,
            Boundary(ranks, self.fresh, stop, lambda: self.finish()),
        )
        settings = TrainerSettings.model_validate(run.settings(**settings_values))
        hold = VersionHold(store, layout, "live")
        indexes = LiveIndexes(store, layout, ranks, hold, lambda: FaissBackend(config.index), run.cache, self.metrics)
        self.trainer = Trainer(
            config,
            settings,
            run.dataset,
            supply,
            leader,
            indexes,
            ranks,
            self.metrics,
            shutdown,
            self.health,
            partial(open_bm25, store, layout, config, run.dataset, run.cache),
        )

    def run(self, after_step: AfterStep = lambda step: None) -> None:
        """Train until the end of the run, or until told to stop."""
        self.series.after_step = after_step
        newest = self.run_under_test.store.read_pointer(self.run_under_test.layout.pointer("checkpoint"))
        self.lease.acquire(lambda: newest.fencing_token if newest else 0)
        try:
            with self.fresh:
                self.trainer.run()
        finally:
            self.lease.release()


def weights(run: ServiceRun, step: int) -> dict[str, torch.Tensor]:
    """The weights of a published checkpoint."""
    return dict(BiEncoder.load(fetch(run.store, run.layout.checkpoint(step), run.cache)).state_dict())


def series(run: ServiceRun) -> list[dict[str, Any]]:
    """The run's records as a report reads them."""
    keys = run.store.list(run.layout.all_series)
    return [json.loads(line) for key in keys for line in run.store.read(key).splitlines()]


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    """Whether two models have exactly the same weights."""
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def interrupt(run: ServiceRun, client: Redis, after: int) -> None:
    """Train until a step is done, at which the trainer is told to leave."""
    with Shutdown(signals=()) as stop, pytest.raises(TrainingInterrupted):
        TrainerProcess(run, client, stop).run(after_step=lambda step: stop.request() if step == after else None)
