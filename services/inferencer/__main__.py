"""Start an inferencer: `python -m services.inferencer`."""

import threading

from ance.runtime.feed import CheckpointWatcher
from ance.runtime.metrics import InferencerMetrics, serve
from ance.runtime.process import limit_threads, run_service
from ance.runtime.queue import TaskQueue
from ance.runtime.redis_client import connect
from ance.runtime.run import open_run
from ance.runtime.shutdown import Shutdown
from services.inferencer.encoders import Encoders
from services.inferencer.loop import Inferencer
from services.inferencer.settings import InferencerSettings


def main() -> None:
    """Wire the process together and work until SIGTERM."""
    shutdown = Shutdown()
    run = open_run(InferencerSettings, "inferencer", shutdown)
    settings, config = run.settings, run.config
    limit_threads(settings.threads)
    metrics = InferencerMetrics()
    encoders = Encoders(run.store, settings.cache_dir, config.encoding, settings.device, metrics)
    watcher = CheckpointWatcher(
        settings.feed,
        config.run,
        fallback=lambda: run.store.read_pointer(run.layout.pointer("checkpoint")),
        poll_seconds=settings.poll_seconds,
    )
    queue = TaskQueue(
        connect(settings.redis_url),
        config.run,
        settings.holder,
        lease_seconds=settings.lease_seconds,
        max_deliveries=settings.max_deliveries,
    )
    dataset = run.open_dataset()
    with serve(metrics.registry, settings.metrics_port), watcher:
        preloading = threading.Thread(
            target=encoders.preload,
            args=(watcher, shutdown, config.training.first_refresh_step),
            name="preload",
            daemon=True,
        )
        preloading.start()
        Inferencer(config, dataset, run.store, queue, encoders, metrics, shutdown).run()
        preloading.join()


if __name__ == "__main__":
    run_service("inferencer", main)
