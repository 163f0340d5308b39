"""The loop of the indexer: one leader refreshes with the newest checkpoint, again and again."""

from dataclasses import dataclass

from ance.runtime.contracts import ArtifactRef, RunConfig
from ance.runtime.feed import CheckpointWatcher
from ance.runtime.layout import Pointer, RunLayout
from ance.runtime.lease import RunLease
from ance.runtime.logs import get_logger
from ance.runtime.metrics import IndexerMetrics
from ance.runtime.queue import TaskQueue
from ance.runtime.redis_client import OUTAGE
from ance.runtime.retention import retain
from ance.runtime.shutdown import Shutdown
from ance.runtime.store import StaleFencingToken, Store
from services.indexer.collector import PassInterrupted
from services.indexer.refresh import Refresh

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Indexer:
    """Waits for leadership, then keeps index and negatives as fresh as the encoders allow."""

    config: RunConfig
    store: Store
    layout: RunLayout
    queue: TaskQueue
    lease: RunLease
    watcher: CheckpointWatcher
    refresh: Refresh
    metrics: IndexerMetrics
    shutdown: Shutdown

    def run(self) -> None:
        """Lead, or stand by to lead, until shutdown is requested or the run's last version is published."""
        while not self.shutdown.requested and not self._finished():
            floor = max((ref.fencing_token for ref in self._pointers()), default=0)
            token = self.lease.acquire(floor, stop=lambda: self.shutdown.requested)
            if token is None:
                break
            self.metrics.leader.set(1)
            log.info("leading", extra={"fencing_token": token})
            try:
                self._lead()
            except (PassInterrupted, StaleFencingToken) as interruption:
                log.info("pass interrupted, the next leader continues it: %s", interruption)
            finally:
                self.metrics.leader.set(0)
                self.lease.release()

    def _lead(self) -> None:
        while not self.shutdown.requested and not self.lease.lost.is_set() and not self._finished():
            checkpoint = self._interrupted() or self._newer_checkpoint()
            if checkpoint is None:
                continue
            # Recorded before the first task, so that another leader finishes this pass and not a newer one.
            started = checkpoint.model_copy(update={"fencing_token": self.lease.token})
            self.store.move_pointer(self.layout.pointer("refresh"), started)
            self._drop_superseded(checkpoint.step)
            log.info("refresh started", extra={"step": checkpoint.step})
            self.refresh.run(checkpoint, self.lease)
            self._delete_old_versions()

    def _drop_superseded(self, step: int) -> None:
        """Spare the inferencers tasks of earlier passes. With Redis away there are none."""
        try:
            self.queue.drop_other_steps(step)
        except OUTAGE as error:
            log.warning("tasks of earlier passes not dropped: %s", error, extra={"step": step})

    def _interrupted(self) -> ArtifactRef | None:
        """The checkpoint of a pass that was started and not published."""
        started = self.store.read_pointer(self.layout.pointer("refresh"))
        return started if started is not None and started.step > self._published_step() else None

    def _newer_checkpoint(self) -> ArtifactRef | None:
        done = max(self._published_step(), self.config.training.first_refresh_step - 1)
        return self.watcher.wait_newer(done, timeout=1.0)

    def _published_step(self) -> int:
        published = self.store.read_pointer(self.layout.pointer("index"))
        return -1 if published is None else published.step

    def _finished(self) -> bool:
        published = self.store.read_pointer(self.layout.pointer("index"))
        return published is not None and published.final

    def _delete_old_versions(self) -> None:
        training = self.config.training
        retain(
            self.store,
            self.layout,
            keep=self.config.retention.keep,
            pinned={0, training.warmup.steps, training.total_steps},
        )

    def _pointers(self) -> list[ArtifactRef]:
        names: tuple[Pointer, ...] = ("refresh", "negatives", "index")
        refs = (self.store.read_pointer(self.layout.pointer(name)) for name in names)
        return [ref for ref in refs if ref is not None]
