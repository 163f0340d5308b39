"""The parts of an inferencer, put together."""

import threading

from ance.model.compiling import require_compiler
from ance.runtime.fleet import open_queue, watch_checkpoints
from ance.runtime.health import Health
from ance.runtime.holds import VersionHold
from ance.runtime.kubernetes.client import cluster_for
from ance.runtime.kubernetes.deletion_cost import open_deletion_cost
from ance.runtime.metrics import InferencerMetrics, labelled, serve, watch_gpu
from ance.runtime.process import limit_threads
from ance.runtime.redis.client import connect
from ance.runtime.run import begin, find_run
from ance.runtime.shutdown import Shutdown
from services.inferencer.encoders import Encoders
from services.inferencer.loop import Inferencer
from services.inferencer.scoring import PairScorer
from services.inferencer.settings import InferencerSettings

PRELOADING_SECONDS = 5.0
"""How long the end of the process waits for a checkpoint that is being loaded."""


def main() -> None:
    """Work until SIGTERM."""
    shutdown = Shutdown()
    settings = begin(InferencerSettings, "inferencer")
    metrics = InferencerMetrics()
    health = Health(settings.liveness_seconds, stopping=shutdown)
    with serve(labelled(metrics.registry, run=settings.run), settings.metrics_port, health=health):
        infer(settings, metrics, health, shutdown)


def infer(settings: InferencerSettings, metrics: InferencerMetrics, health: Health, shutdown: Shutdown) -> None:
    """Wire the process together and run it."""
    run = find_run(settings, shutdown, store_wait=metrics.store.counting(shutdown.wait), beat=health.beat)
    config = run.config
    limit_threads(settings.threads)
    watch_gpu(metrics.gpu_memory_bytes, settings.device)
    if config.encoding.compile is not None:
        with health.long_work():
            require_compiler(config.encoding.compile, settings.device, "encoding.compile")
    hold = VersionHold(run.store, run.layout, settings.holder)
    encoders = Encoders(run.store, hold, settings.cache_dir, config.encoding, settings.device, metrics)
    watcher = watch_checkpoints(run)
    queue = open_queue(run, connect(settings.redis))
    with health.long_work():
        dataset = run.open_dataset()
    with hold, watcher, open_deletion_cost(cluster_for(settings)) as tell_busy:
        preloading = threading.Thread(
            target=encoders.preload,
            args=(watcher, shutdown, config.training.first_refresh_step),
            name="preload",
            daemon=True,
        )
        preloading.start()
        scorer = PairScorer(dataset, run.store, settings.cache_dir, config.encoding, settings.device)
        Inferencer(
            config, dataset, run.store, queue, encoders, scorer, metrics, shutdown, health=health, tell_busy=tell_busy
        ).run()
        preloading.join(PRELOADING_SECONDS)
