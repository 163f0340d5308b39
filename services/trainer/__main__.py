"""Start the trainer: `python -m services.trainer`."""

import sys
from functools import partial

from ance.runtime.feed import CheckpointServer
from ance.runtime.lease import RunLease
from ance.runtime.logs import get_logger
from ance.runtime.metrics import TrainerMetrics, serve
from ance.runtime.process import limit_threads, run_service
from ance.runtime.redis_client import connect
from ance.runtime.run import open_run
from ance.runtime.shutdown import Shutdown
from ance.runtime.store import StaleFencingToken
from services.trainer.bm25_negatives import bm25_negatives
from services.trainer.checkpoints import Checkpoints
from services.trainer.fresh_negatives import FreshNegatives
from services.trainer.loop import Trainer, TrainingInterrupted
from services.trainer.negative_supply import NegativeSupply
from services.trainer.series import Series
from services.trainer.settings import TrainerSettings

log = get_logger(__name__)

INTERRUPTED = 143
"""Exit status after SIGTERM: the run is not finished, so whoever supervises it starts the trainer again."""


def main() -> None:
    """Wire the process together and train until the end of the run or SIGTERM."""
    shutdown = Shutdown()
    run = open_run(TrainerSettings, "trainer", shutdown)
    settings, config, store, layout = run.settings, run.config, run.store, run.layout
    limit_threads(settings.warmup_threads or settings.threads)
    metrics = TrainerMetrics()
    dataset = run.open_dataset()
    lease = RunLease(connect(settings.redis_url), f"{config.run}/trainer", settings.holder, settings.leader_seconds)
    newest = store.read_pointer(layout.pointer("checkpoint"))
    token = lease.acquire(newest.fencing_token if newest else 0, stop=lambda: shutdown.requested)
    if token is None:
        sys.exit(INTERRUPTED)
    feed = CheckpointServer(settings.feed_port, config.run)
    fresh = FreshNegatives(store, layout, settings.cache_dir, settings.negatives_poll_seconds)
    mined = partial(bm25_negatives, store, layout, config, dataset, lease, settings.cache_dir)
    supply = NegativeSupply(
        dataset,
        fresh,
        mined,
        config.training.max_async_gap,
        metrics,
        stop=lambda: shutdown.requested or lease.lost.is_set(),
    )
    checkpoints = Checkpoints(store, layout, config, feed, metrics, lease, settings.cache_dir)
    series = Series(store, layout)
    with serve(metrics.registry, settings.metrics_port), feed, fresh:
        trainer = Trainer(config, settings, dataset, supply, checkpoints, series, feed, lease, metrics, shutdown)
        try:
            trainer.run()
        except (TrainingInterrupted, StaleFencingToken) as interruption:
            log.info("training interrupted, the next trainer continues: %s", interruption)
            sys.exit(INTERRUPTED)
        finally:
            lease.release()
        log.info("training finished", extra={"step": config.training.total_steps})


if __name__ == "__main__":
    run_service("trainer", main)
