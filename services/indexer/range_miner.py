"""Mining in ranges: every indexer, leader or not, takes ranges of the pass under way that nobody else has taken."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType

from ance.data.dataset import Dataset
from ance.runtime.contracts import ArtifactRef, EncodeTask, Part, RunConfig
from ance.runtime.index_backend import IndexBackend
from ance.runtime.layout import RunLayout
from ance.runtime.lease import RunLease
from ance.runtime.logs import get_logger
from ance.runtime.shards import rows_of
from ance.runtime.shutdown import Shutdown
from ance.runtime.store import Store
from services.indexer.arrivals import Arrivals
from services.indexer.builder import RefreshBuilder
from services.indexer.collector import PassInterrupted
from services.indexer.plan import plan
from services.indexer.ranges import PROBE, RangeStore, save_rankings, tasks_by_range

log = get_logger(__name__)

LOOK_SECONDS = 1.0
"""How often a miner with nothing to do looks for a pass, and one at work whether its pass is still under way."""
LEAVE_SECONDS = 5.0
"""How long the end of the process waits for a merge under way."""


@dataclass
class RangeMiner:
    """A thread that mines one range after the other. Use as a context manager.

    A range belongs to whoever holds its lease. Of a miner that dies, the range goes to another, which finds the shards
    in the store; with fewer miners than ranges, each mines several, one after the other.
    """

    config: RunConfig
    dataset: Dataset
    store: Store
    layout: RunLayout
    backend: IndexBackend
    arrivals: Arrivals
    open_lease: Callable[[int], RunLease]
    """The lease of a range, by its number."""
    ranges: int
    holder: str
    cache: Path
    shutdown: Shutdown
    _leases: dict[int, RunLease] = field(default_factory=dict, init=False)
    _stopped: threading.Event = field(default_factory=threading.Event, init=False)
    _error: BaseException | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self._thread = threading.Thread(target=self._run, name="ranges", daemon=True)

    def check(self) -> None:
        """Raise what has ended the thread, if something has."""
        if self._error is not None:
            raise self._error

    def __enter__(self) -> RangeMiner:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        self._thread.join(LEAVE_SECONDS)

    @property
    def _ended(self) -> bool:
        return self._stopped.is_set() or self.shutdown.requested

    def _run(self) -> None:
        try:
            while not self._ended:
                checkpoint = self._under_way()
                if checkpoint is None or not self._mine_one(checkpoint):
                    self.shutdown.wait(LOOK_SECONDS)
        except BaseException as error:
            # Whoever asks `check` raises it: the process ends as if its main thread had met it.
            log.error("mining has ended: %s", error)
            self._error = error

    def _under_way(self) -> ArtifactRef | None:
        """The checkpoint of the pass that was begun and is not published."""
        begun = self.store.read_pointer(self.layout.pointer("refresh"))
        published = self.store.read_pointer(self.layout.pointer("index"))
        if begun is None or (published is not None and published.step >= begun.step):
            return None
        return begun

    def _mine_one(self, checkpoint: ArtifactRef) -> bool:
        """Mine a range that nobody mines. False if there is none."""
        rows = rows_of(self.dataset, self.config, checkpoint.step)
        by_range = tasks_by_range(plan(checkpoint, rows, self.config), self.ranges)
        ranges = RangeStore(self.store, self.layout.index(checkpoint.step), len(by_range))
        for number, tasks in enumerate(by_range):
            if self._ended or ranges.is_mined(number):
                continue
            lease = self._leases.get(number) or self._leases.setdefault(number, self.open_lease(number))
            if lease.try_acquire() is None:
                continue
            try:
                if not ranges.is_mined(number):
                    self._mine(checkpoint, number, tasks, rows, ranges, lease)
                    return True
            except PassInterrupted as interruption:
                log.info("range %d is left: %s", number, interruption, extra={"step": checkpoint.step})
                return False
            finally:
                lease.release()
        return False

    def _mine(
        self,
        checkpoint: ArtifactRef,
        number: int,
        tasks: list[EncodeTask],
        rows: dict[Part, int],
        ranges: RangeStore,
        lease: RunLease,
    ) -> None:
        step = checkpoint.step
        log.info("mining range %d of %d", number, ranges.ranges, extra={"step": step})
        builder = RefreshBuilder(
            self.dataset, self.config, rows, lambda dim: self.backend.build(dim, step=step, token=lease.token)
        )
        shards, seconds = [], 0.0
        for shard in self.arrivals.of(tasks, self._requiring(checkpoint, lease)):
            began = time.perf_counter()
            builder.add(shard)
            seconds += time.perf_counter() - began
            if shard.is_new:
                shards.append(shard.entry)
        rankings = {part.value: builder.ranking(part) for part in (Part.TRAIN_QUERIES, Part.DEV_QUERIES) if rows[part]}
        found = builder.probe()
        with TemporaryDirectory(dir=self.cache) as folder:
            index, ranked = Path(folder) / "index", Path(folder) / "rankings"
            ranked.mkdir()
            builder.finish(index)
            save_rankings(ranked, rankings if found is None else rankings | {PROBE: found})
            ranges.put(number, self.holder, index, ranked, shards=shards, vectors=builder.vectors, seconds=seconds)
        log.info("range %d is mined", number, extra={"step": step, "seconds": round(seconds, 3)})

    def _requiring(self, checkpoint: ArtifactRef, lease: RunLease) -> Callable[[], None]:
        """Raises PassInterrupted once this range is not to be mined here any more."""
        next_look = 0.0

        def require() -> None:
            nonlocal next_look
            if self._ended:
                raise PassInterrupted("shutdown was requested")
            if lease.lost.is_set():
                raise PassInterrupted("its lease is lost")
            if time.monotonic() >= next_look:
                next_look = time.monotonic() + LOOK_SECONDS
                under_way = self._under_way()
                if under_way is None or under_way.manifest_sha256 != checkpoint.manifest_sha256:
                    raise PassInterrupted("its pass is not under way any more")

        return require
