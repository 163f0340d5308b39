"""The parts of a trainer, put together."""

import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial

from prometheus_client import CollectorRegistry

from ance.data.dataset import Dataset
from ance.runtime import logs
from ance.runtime.bm25_cache import open_bm25
from ance.runtime.feed import CheckpointServer
from ance.runtime.health import Health
from ance.runtime.holds import VersionHold
from ance.runtime.index_backend import IndexBackend, faiss_device, index_backend
from ance.runtime.kubernetes.client import cluster_for
from ance.runtime.kubernetes.events import open_events
from ance.runtime.layout import RunLayout
from ance.runtime.lease import open_lease
from ance.runtime.left_behind import LeftBehind
from ance.runtime.metrics import TrainerMetrics, labelled, serve, watch_gpu
from ance.runtime.milvus.settings import MilvusSettings
from ance.runtime.process import TERMINATED, limit_threads
from ance.runtime.run import OpenRun, begin, find_run
from ance.runtime.settings import load
from ance.runtime.shutdown import Shutdown
from ance.runtime.store import StaleFencingToken, Store
from ance.training.data_parallel import PeerLost
from services.trainer.boundary import Boundary
from services.trainer.checkpoints import Checkpoints
from services.trainer.duties import Duties, Follower, Leader, TrainingInterrupted
from services.trainer.early_stop import out_of_patience
from services.trainer.fresh_negatives import FreshNegatives
from services.trainer.live_index import LiveIndexes
from services.trainer.loop import Trainer
from services.trainer.negative_supply import NegativeSupply
from services.trainer.ranks import Place, Ranks, join
from services.trainer.series import Series
from services.trainer.settings import TrainerSettings

log = logs.get_logger(__name__)

WAIT_SECONDS = 30.0
"""How often a trainer with nothing left to do shows that it is alive."""


def main() -> None:
    """Train until the end of the run or SIGTERM."""
    shutdown = Shutdown()
    place = load(Place)
    settings = begin(TrainerSettings, "trainer")
    if place.world_size > 1:
        logs.configure("trainer", settings.log_format, level=settings.log_level, run=settings.run, rank=place.rank)
    settings = settings.model_copy(update={"device": place.device(settings.device)})
    metrics = TrainerMetrics()
    health = Health(settings.liveness_seconds, stopping=shutdown)
    with watched(place, settings, metrics, health):
        train(place, settings, metrics, health, shutdown)


def watched(
    place: Place, settings: TrainerSettings, metrics: TrainerMetrics, health: Health
) -> AbstractContextManager[object]:
    """The metrics port: one process of a pod answers its probes, and rank 0 alone speaks for the run."""
    if place.local_rank:
        return nullcontext()
    registry = metrics.registry if place.leads else CollectorRegistry()
    return serve(labelled(registry, run=settings.run), settings.metrics_port, health=health)


def train(place: Place, settings: TrainerSettings, metrics: TrainerMetrics, health: Health, shutdown: Shutdown) -> None:
    """Train as the process's place demands, and stay if told so.

    Raises:
        SystemExit: the run is not finished, so whoever supervises the process starts it again.
    """
    store_wait = metrics.store.counting(shutdown.wait)
    run = find_run(settings, shutdown, writes=place.leads, store_wait=store_wait, beat=health.beat)
    limit_threads(settings.warmup_threads or settings.threads)
    watch_gpu(metrics.gpu_memory_bytes, settings.device)
    with health.long_work():
        dataset = run.open_dataset()
    process = Process(place, run, dataset, metrics, health, shutdown)
    try:
        if place.leads:
            process.lead()
        else:
            process.follow()
    except (TrainingInterrupted, StaleFencingToken, PeerLost, LeftBehind) as interruption:
        log.info("training interrupted, the next trainer continues: %s", interruption)
        sys.exit(TERMINATED)


@dataclass(frozen=True, slots=True)
class Process:
    """What a trainer process has, whatever its rank."""

    place: Place
    run: OpenRun[TrainerSettings]
    dataset: Dataset
    metrics: TrainerMetrics
    health: Health
    shutdown: Shutdown

    def lead(self) -> None:
        """Hold the run, gather the other ranks, train with them, and tell the fleet."""
        config, store, layout, settings = self.run.config, self.run.store, self.run.layout, self.run.settings
        cluster = cluster_for(settings)
        feed = CheckpointServer(settings.feed_port, config.run, credentials=settings.feed_credentials)
        lease = open_lease(settings, "trainer", cluster)
        token = lease.acquire(partial(newest_token, store, layout), stop=self.health.beating(self.shutdown))
        if token is None:
            raise TrainingInterrupted("while waiting for the lease of the run")
        stop = self.health.beating(lambda: self.shutdown.requested or lease.lost.is_set())
        with feed, open_events(cluster, "trainer", settings.event_object) as announce:
            try:
                with self._join(stop) as ranks:
                    checkpoints = Checkpoints(store, layout, config, feed, self.metrics, lease, settings.cache_dir)
                    series = Series(store, layout)
                    leader = Leader(
                        config,
                        self.dataset,
                        store,
                        layout,
                        settings.cache_dir,
                        ranks,
                        lease,
                        feed,
                        checkpoints,
                        series,
                        announce,
                    )
                    with out_of_patience(store, layout, config, settings.negatives_poll_seconds) as finish:
                        self._work(leader, ranks, stop, finish)
            finally:
                lease.release()
            self._stay()  # and with it the feed, for whoever starts later

    def follow(self) -> None:
        """Train with rank 0."""
        store, layout, settings = self.run.store, self.run.layout, self.run.settings
        stop = self.health.beating(self.shutdown)
        with self._join(stop) as ranks:
            self._work(Follower(store, layout, settings.cache_dir, ranks, stop), ranks, stop)
        self._stay()

    def _join(self, stop: Callable[[], bool]) -> Ranks:
        settings = self.run.settings
        return join(self.place, settings.device, settings.peer_seconds, stop, self.health.long_work)

    def _work(
        self,
        duties: Duties,
        ranks: Ranks,
        stop: Callable[[], bool],
        finish: Callable[[], bool] = lambda: False,
    ) -> None:
        config, store, settings = self.run.config, self.run.store, self.run.settings
        hold = VersionHold(store, self.run.layout, settings.holder)
        fresh = FreshNegatives(
            store, hold, duties.newest_negatives, settings.cache_dir, settings.negatives_poll_seconds
        )
        boundary = Boundary(ranks, fresh, stop, finish)
        supply = NegativeSupply(self.dataset, fresh, duties.bm25, config, self.metrics, boundary)
        indexes = LiveIndexes(
            store, self.run.layout, ranks, hold, self._index_backend, settings.cache_dir, self.metrics
        )
        with hold, fresh:
            self.health.ready()
            steps = Trainer(
                config,
                settings,
                self.dataset,
                supply,
                duties,
                indexes,
                ranks,
                self.metrics,
                self.shutdown,
                self.health,
                partial(open_bm25, store, self.run.layout, config, self.dataset, settings.cache_dir),
            ).run()
        log.info("training finished", extra={"step": steps})

    def _index_backend(self) -> IndexBackend:
        run = self.run
        # Faiss knows the first GPU only, which is not every rank's.
        device = "cpu" if self.place.world_size > 1 else faiss_device(run.settings.device)
        return index_backend(run.config.index, load(MilvusSettings), run.store, run.layout, device=device)

    def _stay(self) -> None:
        while self.run.settings.on_complete == "wait" and not self.shutdown.wait(WAIT_SECONDS):
            self.health.beat()


def newest_token(store: Store, layout: RunLayout) -> int:
    """The highest fencing token that a trainer has published under."""
    newest = store.read_pointer(layout.pointer("checkpoint"))
    return 0 if newest is None else newest.fencing_token
