"""Start the trainer: `python -m services.trainer`."""

import sys
from functools import partial

from ance.runtime.feed import CheckpointServer
from ance.runtime.health import Health
from ance.runtime.kubernetes.client import cluster_for
from ance.runtime.kubernetes.events import open_events
from ance.runtime.layout import RunLayout
from ance.runtime.lease import open_lease
from ance.runtime.logs import get_logger
from ance.runtime.metrics import TrainerMetrics, labelled, serve
from ance.runtime.process import TERMINATED, limit_threads, run_service
from ance.runtime.run import begin, find_run
from ance.runtime.shutdown import Shutdown
from ance.runtime.store import StaleFencingToken, Store
from services.trainer.bm25_negatives import bm25_negatives
from services.trainer.checkpoints import Checkpoints
from services.trainer.fresh_negatives import FreshNegatives
from services.trainer.loop import Trainer, TrainingInterrupted
from services.trainer.negative_supply import NegativeSupply
from services.trainer.series import Series
from services.trainer.settings import TrainerSettings

log = get_logger(__name__)

WAIT_SECONDS = 30.0
"""How often a trainer with nothing left to do shows that it is alive."""


def main() -> None:
    """Train until the end of the run or SIGTERM."""
    shutdown = Shutdown()
    settings = begin(TrainerSettings, "trainer")
    metrics = TrainerMetrics()
    health = Health(settings.liveness_seconds, stopping=shutdown)
    with serve(labelled(metrics.registry, run=settings.run), settings.metrics_port, health=health):
        train(settings, metrics, health, shutdown)


def train(settings: TrainerSettings, metrics: TrainerMetrics, health: Health, shutdown: Shutdown) -> None:
    """Wire the process together, train, and stay if told so.

    Raises:
        SystemExit: the run is not finished, so whoever supervises the process starts it again.
    """
    run = find_run(settings, shutdown, store_wait=metrics.store.counting(shutdown.wait), beat=health.beat)
    config, store, layout = run.config, run.store, run.layout
    limit_threads(settings.warmup_threads or settings.threads)
    with health.long_work():
        dataset = run.open_dataset()
    cluster = cluster_for(settings)
    lease = open_lease(settings, "trainer", cluster)
    token = lease.acquire(partial(newest_token, store, layout), stop=health.beating(shutdown))
    if token is None:
        sys.exit(TERMINATED)
    feed = CheckpointServer(settings.feed_port, config.run)
    fresh = FreshNegatives(store, layout, settings.cache_dir, settings.negatives_poll_seconds)
    mined = partial(bm25_negatives, store, layout, config, dataset, lease, settings.cache_dir)
    supply = NegativeSupply(
        dataset,
        fresh,
        mined,
        config.training.max_async_gap,
        metrics,
        stop=health.beating(lambda: shutdown.requested or lease.lost.is_set()),
    )
    checkpoints = Checkpoints(store, layout, config, feed, metrics, lease, settings.cache_dir)
    series = Series(store, layout)
    with feed, fresh, open_events(cluster, "trainer", settings.event_object) as announce:
        health.ready()
        trainer = Trainer(
            config,
            settings,
            dataset,
            supply,
            checkpoints,
            series,
            feed,
            lease,
            metrics,
            shutdown,
            health=health,
            announce=announce,
        )
        try:
            trainer.run()
        except (TrainingInterrupted, StaleFencingToken) as interruption:
            log.info("training interrupted, the next trainer continues: %s", interruption)
            sys.exit(TERMINATED)
        finally:
            lease.release()
        log.info("training finished", extra={"step": config.training.total_steps})
        # The feed stays, for whoever starts later.
        while settings.on_complete == "wait" and not shutdown.wait(WAIT_SECONDS):
            health.beat()


def newest_token(store: Store, layout: RunLayout) -> int:
    """The highest fencing token that a trainer has published under."""
    newest = store.read_pointer(layout.pointer("checkpoint"))
    return 0 if newest is None else newest.fencing_token


if __name__ == "__main__":
    run_service("trainer", main)
