"""Start an indexer: `python -m services.indexer`."""

from ance.runtime.feed import CheckpointWatcher
from ance.runtime.lease import RunLease
from ance.runtime.metrics import IndexerMetrics, serve
from ance.runtime.process import limit_threads, run_service
from ance.runtime.queue import TaskQueue
from ance.runtime.redis_client import connect
from ance.runtime.run import open_run
from ance.runtime.shutdown import Shutdown
from services.indexer.collector import Collector
from services.indexer.loop import Indexer
from services.indexer.refresh import Refresh
from services.indexer.settings import IndexerSettings


def main() -> None:
    """Wire the process together and lead, or stand by, until SIGTERM or the end of the run."""
    shutdown = Shutdown()
    run = open_run(IndexerSettings, "indexer", shutdown)
    settings, config = run.settings, run.config
    limit_threads(settings.threads)
    metrics = IndexerMetrics()
    redis = connect(settings.redis_url)
    queue = TaskQueue(
        redis,
        config.run,
        settings.holder,
        lease_seconds=settings.lease_seconds,
        max_deliveries=settings.max_deliveries,
    )
    lease = RunLease(redis, f"{config.run}/indexer", settings.holder, settings.leader_seconds)
    watcher = CheckpointWatcher(
        settings.feed,
        config.run,
        fallback=lambda: run.store.read_pointer(run.layout.pointer("checkpoint")),
        poll_seconds=settings.poll_seconds,
    )
    collector = Collector(run.store, queue, lease, settings, metrics, shutdown)
    refresh = Refresh(config, run.open_dataset(), run.store, run.layout, collector, metrics, settings.cache_dir)
    with serve(metrics.registry, settings.metrics_port), watcher:
        Indexer(config, run.store, run.layout, queue, lease, watcher, refresh, metrics, shutdown).run()


if __name__ == "__main__":
    run_service("indexer", main)
