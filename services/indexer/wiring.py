"""The parts of an indexer, put together."""

from collections.abc import Callable
from contextlib import nullcontext
from functools import partial

from ance.data.dataset import Dataset
from ance.errors import AnceError
from ance.runtime.fleet import open_queue, watch_checkpoints
from ance.runtime.health import Health
from ance.runtime.index_backend import IndexBackend, index_backend
from ance.runtime.kubernetes.client import Cluster, cluster_for
from ance.runtime.kubernetes.events import open_events
from ance.runtime.kubernetes.scaler import Scaler
from ance.runtime.lease import RunLease, open_lease
from ance.runtime.metrics import IndexerMetrics, labelled, serve
from ance.runtime.news import spread
from ance.runtime.process import limit_threads
from ance.runtime.queue import TaskQueue
from ance.runtime.redis.client import connect
from ance.runtime.run import OpenRun, begin, find_run
from ance.runtime.shutdown import Shutdown
from services.indexer.arrivals import Arrivals
from services.indexer.collector import Collector
from services.indexer.loop import Indexer
from services.indexer.plan import owners
from services.indexer.progress import PassProgress
from services.indexer.range_miner import RangeMiner
from services.indexer.ranges import check_ranges
from services.indexer.refresh import Refresh
from services.indexer.settings import IndexerSettings
from services.indexer.shards import Shards


def main() -> None:
    """Lead, or stand by, until SIGTERM or the end of the run."""
    shutdown = Shutdown()
    settings = begin(IndexerSettings, "indexer")
    metrics = IndexerMetrics()
    health = Health(settings.liveness_seconds, stopping=shutdown)
    with serve(labelled(metrics.registry, run=settings.run), settings.metrics_port, health=health):
        index(settings, metrics, health, shutdown)


def index(settings: IndexerSettings, metrics: IndexerMetrics, health: Health, shutdown: Shutdown) -> None:
    """Wire the process together and run it."""
    run = find_run(settings, shutdown, store_wait=metrics.store.counting(shutdown.wait), beat=health.beat)
    config = run.config
    limit_threads(settings.threads)
    cluster = cluster_for(settings)
    redis = connect(settings.redis)
    queue = open_queue(run, redis)
    lease = open_lease(settings, "indexer", cluster)
    watcher = watch_checkpoints(run)
    with health.long_work():
        dataset = run.open_dataset()
    progress = PassProgress()
    collector = Collector(
        run.store,
        queue,
        lease,
        settings,
        metrics,
        shutdown,
        owners=partial(owners, dataset=dataset, config=config),
        progress=progress,
        health=health,
    )
    backend = index_backend(config.index, settings, run.store, run.layout, wait=shutdown.wait)
    miner = range_miner(run, dataset, queue, backend, shutdown, lambda role: open_lease(settings, role, cluster))
    refresh = Refresh(
        config, dataset, run.store, run.layout, collector, metrics, settings.cache_dir, backend, health, miner
    )
    with watcher, miner or nullcontext(), open_events(cluster, "indexer", settings.event_object) as announce:
        Indexer(
            config,
            run.store,
            run.layout,
            queue,
            lease,
            watcher,
            refresh,
            metrics,
            shutdown,
            health,
            announce,
            partial(spread, redis, config.run),
            progress,
            open_scaler(settings, cluster, progress),
            settings.on_complete,
            settings.on_dead_letter,
        ).run()


def range_miner(
    run: OpenRun[IndexerSettings],
    dataset: Dataset,
    queue: TaskQueue,
    backend: IndexBackend,
    shutdown: Shutdown,
    lease_of: Callable[[str], RunLease],
) -> RangeMiner | None:
    """What mines ranges in this process, if the settings ask for more than one.

    Raises:
        AnceError: the run cannot be mined in ranges.
    """
    settings, config = run.settings, run.config
    if settings.indexer_ranges == 1:
        return None
    check_ranges(settings.indexer_ranges, config)
    return RangeMiner(
        config,
        dataset,
        run.store,
        run.layout,
        backend,
        Arrivals(queue, Shards(run.store, partial(owners, dataset=dataset, config=config)), settings.reconcile_seconds),
        lambda number: lease_of(f"indexer-range-{number}"),
        settings.indexer_ranges,
        settings.holder,
        settings.cache_dir,
        shutdown,
    )


def open_scaler(settings: IndexerSettings, cluster: Cluster | None, progress: PassProgress) -> Scaler | None:
    """The scaler of the inferencers, if the settings name their Deployment.

    Raises:
        AnceError: they do, outside of Kubernetes.
    """
    if not settings.scaler_deployment:
        return None
    if cluster is None:
        raise AnceError("ANCE_SCALER_DEPLOYMENT needs ANCE_KUBERNETES=true")
    return Scaler(
        cluster, settings.scaler_deployment, settings.scaling, progress.workload, settings.scaler_period_seconds
    )
