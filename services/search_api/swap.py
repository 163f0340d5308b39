"""The hot swap: a thread that follows the index pointer and activates one whole snapshot after another."""

from __future__ import annotations

import logging
import threading
import time

from ance.data.dataset import Dataset
from ance.errors import AnceError
from ance.runtime.contracts import ArtifactRef, SearchSnapshot
from ance.runtime.metrics import SearchMetrics
from ance.runtime.run import OpenRun
from services.search_api.settings import SearchSettings
from services.search_api.snapshot import RefusedVersion, fetch_version, load

log = logging.getLogger(__name__)

STOP_SECONDS = 5.0


class IndexFollower:
    """Keeps `current` at the newest published version that is fit to serve.

    A swap replaces one reference, so a request that took `current` keeps a whole version to its end, and the
    old version is freed with the last such request. While the store is silent, the present version stays.
    """

    def __init__(self, run: OpenRun[SearchSettings], metrics: SearchMetrics) -> None:
        self._run = run
        self._metrics = metrics
        self._current: SearchSnapshot | None = None
        self._documents: Dataset | None = None
        self._seen = ""
        self._store_answers = True
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="index-follower", daemon=True)

    @property
    def current(self) -> SearchSnapshot | None:
        """The version to answer with; None until the first one is loaded."""
        return self._current

    def start(self) -> None:
        """Follow the pointer in the background; the first look is at once."""
        self._thread.start()

    def stop(self) -> None:
        """Stop following. A swap under way changes nothing but memory, so the wait for it is short."""
        self._stopped.set()
        self._thread.join(STOP_SECONDS)

    def poll(self) -> None:
        """Look at the pointer once, and swap if it names a version that was neither activated nor refused."""
        try:
            ref = self._run.store.read_pointer(self._run.layout.pointer("index"))
            if ref is not None and ref.manifest_sha256 != self._seen:
                self._swap(ref)
                self._seen = ref.manifest_sha256
        except (AnceError, OSError) as error:
            if self._store_answers:
                log.warning("no newer index can be read, the present one keeps serving: %s", error)
            self._store_answers = False
        else:
            if not self._store_answers:
                log.info("the store answers again")
            self._store_answers = True

    def _swap(self, ref: ArtifactRef) -> None:
        started = time.perf_counter()
        try:
            version = fetch_version(self._run, ref)
            if self._documents is None:
                self._documents = self._run.open_dataset()
            snapshot = load(version, self._run, self._documents)
        except RefusedVersion as error:
            self._metrics.index_swaps.labels(result="refused").inc()
            log.error("index refused, the present one stays: %s", error, extra={"step": ref.step})
            return
        self._current = snapshot
        seconds = time.perf_counter() - started
        self._metrics.index_swaps.labels(result="activated").inc()
        self._metrics.index_swap_seconds.observe(seconds)
        self._metrics.index_step.set(snapshot.step)
        self._metrics.index_created_timestamp_seconds.set(snapshot.created_at)
        log.info("index activated", extra={"step": ref.step, "seconds": round(seconds, 3)})

    def _follow(self) -> None:
        while True:
            self.poll()
            if self._stopped.wait(self._run.settings.poll_seconds):
                return
