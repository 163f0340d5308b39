"""The loop of the indexer: one leader refreshes with the newest checkpoint, again and again."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Literal

from ance.errors import AnceError
from ance.runtime.contracts import ArtifactRef, RunConfig
from ance.runtime.feed import CheckpointWatcher
from ance.runtime.health import Health
from ance.runtime.holds import Silence
from ance.runtime.kubernetes.events import Announce, unheard
from ance.runtime.kubernetes.scaler import Scaler
from ance.runtime.layout import Pointer, RunLayout
from ance.runtime.lease import RunLease
from ance.runtime.logs import get_logger
from ance.runtime.metrics import IndexerMetrics
from ance.runtime.queue import TaskQueue
from ance.runtime.redis.client import OUTAGE
from ance.runtime.retention import pinned_steps, retain
from ance.runtime.shutdown import Shutdown
from ance.runtime.store import StaleFencingToken, Store
from ance.runtime.tracing import span
from services.indexer.best import point_to_best
from services.indexer.collector import DeadTask, PassInterrupted
from services.indexer.progress import PassProgress
from services.indexer.queue_report import report_queue
from services.indexer.refresh import Refresh

log = get_logger(__name__)

LOOK_SECONDS = 0.5
"""How often a thread that waits for the end looks for it."""
WAIT_SECONDS = 30.0
"""How often a leader with nothing left to do shows that it is alive."""


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
    health: Health = field(default_factory=Health)
    announce: Announce = unheard
    spread_news: Callable[[int], None] = lambda step: None
    progress: PassProgress = field(default_factory=PassProgress)
    scaler: Scaler | None = None
    on_complete: Literal["exit", "wait"] = "exit"
    on_dead_letter: Literal["stop", "go_on"] = "stop"
    silence: Silence = field(default_factory=Silence)
    """Of processes that hold versions."""

    def run(self) -> None:
        """Lead, or stand by to lead, until shutdown is requested or the run's last version is published."""
        self.health.ready()
        with self._releasing_first():
            self._take_turns()
        if not self.shutdown.requested:
            self._complete()

    def _take_turns(self) -> None:
        while not self.shutdown.requested and not self._finished():
            token = self.lease.acquire(self._newest_token, stop=self.health.beating(self._leaving))
            if token is None:
                break
            self.metrics.leader.set(1)
            log.info("leading", extra={"fencing_token": token})
            try:
                self._show_published()
                self._show_best()
                with self.scaler or nullcontext():
                    self._lead()
            except (PassInterrupted, StaleFencingToken) as interruption:
                log.info("pass interrupted, the next leader continues it: %s", interruption)
            finally:
                self.metrics.leader.set(0)
                self.metrics.queue.hide()
                self.lease.release()

    def _leaving(self) -> bool:
        """Whether to wait for leadership no more."""
        if self.refresh.miner is not None:
            self.refresh.miner.check()
        return self.shutdown.requested

    def _lead(self) -> None:
        while not self.shutdown.requested and not self.lease.lost.is_set() and not self._finished():
            self.health.beat()
            checkpoint = self._interrupted() or self._newer_checkpoint()
            if checkpoint is None:
                report_queue(self.queue, self.metrics.queue)
                continue
            # Recorded before the first task, so that another leader finishes this pass and not a newer one.
            started = checkpoint.model_copy(update={"fencing_token": self.lease.token})
            self.store.move_pointer(self.layout.pointer("refresh"), started)
            self._drop_superseded(checkpoint.step)
            log.info("refresh started", extra={"step": checkpoint.step})
            self.announce("RefreshStarted", f"refresh with the checkpoint of step {checkpoint.step}")
            try:
                self._refresh(checkpoint)
            except DeadTask as error:
                if not self._may_stay_open(checkpoint):
                    raise
                log.error("refresh left open: %s", error, extra={"step": checkpoint.step})
                self.progress.begin(())  # no pod need wait with it
                continue
            self._show_best()
            with self.health.long_work():
                self._delete_old_versions()

    def _refresh(self, checkpoint: ArtifactRef) -> None:
        try:
            with span("refresh", parent=checkpoint.traceparent, step=checkpoint.step):
                self.refresh.run(checkpoint, self.lease)
        except StaleFencingToken:
            raise
        except AnceError as error:
            self.announce("RefreshAborted", f"refresh with the checkpoint of step {checkpoint.step}: {error}")
            raise
        self.spread_news(checkpoint.step)
        self.announce("IndexPublished", f"index and negatives of step {checkpoint.step}")

    def _complete(self) -> None:
        """Nothing is left to encode: let the inferencers go. Where the pod would be restarted, stay."""
        self.metrics.finished.set(1)
        self.progress.end()
        if self.scaler is not None:
            self.scaler.look()
        while self.on_complete == "wait" and not self.shutdown.wait(WAIT_SECONDS):
            self.health.beat()
            if self.scaler is not None:
                self.scaler.look()

    @contextmanager
    def _releasing_first(self) -> Iterator[None]:
        """Release the lease the moment shutdown is requested: a successor need not wait for work that cannot stop."""
        left = threading.Event()

        def watch() -> None:
            while not left.is_set():
                if self.shutdown.wait(LOOK_SECONDS):
                    self.lease.release()
                    return

        thread = threading.Thread(target=watch, name="release", daemon=True)
        thread.start()
        try:
            yield
        finally:
            left.set()
            thread.join()

    def _drop_superseded(self, step: int) -> None:
        """Spare the inferencers tasks of earlier passes. With Redis away there are none."""
        try:
            self.queue.drop_other_steps(step)
        except OUTAGE as error:
            log.warning("tasks of earlier passes not dropped: %s", error, extra={"step": step})

    def _interrupted(self) -> ArtifactRef | None:
        """The checkpoint of a pass that was started, not published, and can be continued."""
        started = self.store.read_pointer(self.layout.pointer("refresh"))
        if started is None or started.step <= self._published_step() or self._is_left_open(started):
            return None
        return started

    def _may_stay_open(self, checkpoint: ArtifactRef) -> bool:
        """Whether a pass with dead tasks may wait for a person, or for a newer checkpoint to replace it."""
        return self.on_dead_letter == "go_on" and not checkpoint.final

    def _is_left_open(self, started: ArtifactRef) -> bool:
        if not self._may_stay_open(started):
            return False
        try:
            return any(letter.entry.get("step") == str(started.step) for letter in self.queue.dead_letters)
        except OUTAGE:
            return False  # the pass itself waits for Redis

    def _newer_checkpoint(self) -> ArtifactRef | None:
        """The newest checkpoint, if a refresh is due with it and it has not been tried."""
        due = self.config.training.next_refresh_step(self._published_step())
        started = self.store.read_pointer(self.layout.pointer("refresh"))
        tried = -1 if started is None else started.step
        newest = self.watcher.newest
        if newest is not None and newest.final:  # early stopping may end the run before a checkpoint is due
            due = min(due, newest.step)
        return self.watcher.wait_newer(max(due - 1, tried), timeout=1.0)

    def _published_step(self) -> int:
        published = self.store.read_pointer(self.layout.pointer("index"))
        return -1 if published is None else published.step

    def _show_published(self) -> None:
        """A leader that takes over shows what its predecessor has published."""
        published = self.store.read_pointer(self.layout.pointer("index"))
        if published is not None:
            self.metrics.published_step.set(published.step)
            self.metrics.published_timestamp_seconds.set(published.created_at)

    def _show_best(self) -> None:
        """A predecessor may have published a version and died before it was compared."""
        best = point_to_best(self.store, self.layout, self.config.evaluation.best_by)
        if best is not None:
            self.metrics.best_step.set(best)

    def _finished(self) -> bool:
        published = self.store.read_pointer(self.layout.pointer("index"))
        return published is not None and published.final

    def _delete_old_versions(self) -> None:
        retention = retain(
            self.store,
            self.layout,
            keep=self.config.retention.keep,
            pinned=pinned_steps(self.config),
            silent=self.silence.of,
        )
        for version in retention.deleted:
            self.metrics.retention_deleted.labels(kind=version.kind.value).inc()
        self.refresh.backend.tidy()

    def _newest_token(self) -> int:
        """The highest fencing token that an indexer has published under."""
        names: tuple[Pointer, ...] = ("refresh", "negatives", "index")
        refs = (self.store.read_pointer(self.layout.pointer(name)) for name in names)
        return max((ref.fencing_token for ref in refs if ref is not None), default=0)
