"""The hot swap: a thread that follows the pointers and activates one whole snapshot after another."""

from __future__ import annotations

import gc
import hashlib
import logging
import random
import time
import weakref
from typing import TYPE_CHECKING

from ance.errors import AnceError, TemporaryError
from ance.runtime.artifacts import ArtifactNotFound
from ance.runtime.contracts import ArtifactRef, Kind, Manifest, SearchSnapshot
from ance.runtime.holds import VersionHold
from ance.runtime.kubernetes.events import Announce, unheard
from ance.runtime.metrics import SearchMetrics
from ance.runtime.process import return_freed_memory
from ance.runtime.run import OpenRun
from ance.runtime.tracing import span
from services.search_api.models.indexes import SwapState
from services.search_api.settings import SearchSettings
from services.search_api.versions.corpus import Corpus
from services.search_api.versions.pin import read_pin
from services.search_api.versions.poller import Poller
from services.search_api.versions.probe import probe
from services.search_api.versions.snapshot import FetchedVersion, RefusedVersion, backend_of, fetch_version, load

if TYPE_CHECKING:
    from ance.model.encoding import TextEncoder

log = logging.getLogger(__name__)

LET_GO_SECONDS = 30.0


class IndexFollower:
    """Keeps `current` at the wanted version that is fit to serve: the pinned one, or else the newest.

    A swap replaces one reference, so a batch that took `current` keeps a whole version to its end, and the old
    version is freed with the last such batch. While the store is silent, the present version stays. A version that
    was refused is not tried again; one that could not be fetched is, after a while.
    """

    def __init__(
        self, run: OpenRun[SearchSettings], metrics: SearchMetrics, corpus: Corpus, announce: Announce = unheard
    ) -> None:
        self._run = run
        self._metrics = metrics
        self._corpus = corpus
        self._announce = announce
        self._backend = backend_of(run)
        self._current: SearchSnapshot | None = None
        self._loaded: FetchedVersion | None = None
        self._replaced: FetchedVersion | None = None
        self._leaving: weakref.ref[TextEncoder] | None = None  # of a version that may still answer a batch
        self._active_sha256 = ""
        self._not_before = 0.0
        self._store_answers = True
        self._hold = VersionHold(run.store, run.layout, run.settings.holder)
        self._poller = Poller("index-follower", self.poll, run.settings.poll_seconds)
        self.state: SwapState = "idle"
        """Where a swap is."""
        self._refused: dict[str, str] = {}  # by sha256 of their manifests: why
        self.pinned: int | None = None
        """Version that a rollback holds all replicas at, as of the last poll."""

    @property
    def current(self) -> SearchSnapshot | None:
        """The version to answer with; None until the first one is loaded, and in a swap that frees first."""
        return self._current

    @property
    def previous_step(self) -> int | None:
        """The version that was served before."""
        return None if self._replaced is None else self._replaced.manifest.step

    def refusal(self, manifest: Manifest) -> str:
        """Why a version was refused, empty if it was not."""
        return self._refused.get(hashlib.sha256(manifest.to_bytes()).hexdigest(), "")

    def start(self) -> None:
        """Follow the pointers in the background; the first look is at once."""
        self._hold.__enter__()
        self._poller.start()

    def wake(self) -> None:
        """Look at the pointers soon."""
        self._poller.wake()

    def stop(self) -> None:
        """Stop following."""
        self._poller.stop()
        self._hold.__exit__()

    def poll(self) -> None:
        """Look at the pointers once, and swap if they name a version that was neither activated nor refused."""
        self._tidied()
        try:
            ref = self._wanted()
        except (AnceError, OSError) as error:
            if self._store_answers:
                log.warning("no newer index can be read, the present one keeps serving: %s", error)
            self._store_answers = False
            return
        if not self._store_answers:
            log.info("the store answers again")
        self._store_answers = True
        if ref is None or ref.manifest_sha256 == self._active_sha256 or ref.manifest_sha256 in self._refused:
            return
        if time.monotonic() >= self._not_before and not self._told_to_stop_while_waiting():
            with span("swap", parent=ref.traceparent, version=ref.step):
                self._attempt(ref)
            self.state = "idle"

    def _wanted(self) -> ArtifactRef | None:
        pin = read_pin(self._run)
        self.pinned = None if pin is None else pin.step
        self._metrics.index_pinned.set(pin is not None)
        return pin or self._run.store.read_pointer(self._run.layout.pointer("index"))

    def _told_to_stop_while_waiting(self) -> bool:
        """Replicas that serve take turns by chance; one that does not must not wait."""
        if self._current is None or not self._run.settings.swap_jitter_seconds:
            return False
        self.state = "waiting"
        return self._poller.pause(random.uniform(0, self._run.settings.swap_jitter_seconds))

    def _attempt(self, ref: ArtifactRef) -> None:
        started = time.perf_counter()
        try:
            self._hold_also(ref.step)
            snapshot, version = self._prepare(ref)
        except RefusedVersion as error:
            self._refused[ref.manifest_sha256] = str(error)
            self._metrics.index_swaps.labels(result="refused").inc()
            log.error("index refused, the present one stays: %s", error, extra={"step": ref.step})
            self._announce("SwapRefused", f"index of step {ref.step}: {error}")
            return
        except (AnceError, OSError) as error:
            retry = self._run.settings.fetch_retry_seconds
            self._not_before = time.monotonic() + retry
            self._metrics.index_swaps.labels(result="failed").inc()
            log.warning("index not fetched, next try in %g s: %s", retry, error, extra={"step": ref.step})
            return
        self.state = "activating"
        self._activate(snapshot, version, ref.manifest_sha256)
        seconds = time.perf_counter() - started
        self._metrics.index_swaps.labels(result="activated").inc()
        self._metrics.index_swap_seconds.observe(seconds)
        log.info("index activated", extra={"step": ref.step, "seconds": round(seconds, 3)})
        self._announce("IndexSwapped", f"index of step {ref.step} answers, after {seconds:.1f} s")

    def _hold_also(self, step: int) -> None:
        """Keep retention from what is served, what would be gone back to, and what comes next."""
        versions = {version.manifest.step for version in (self._loaded, self._replaced) if version is not None}
        try:
            self._hold.hold({(Kind.INDEX, held) for held in versions | {step}})
        except ArtifactNotFound as error:
            raise RefusedVersion(str(error)) from error

    def _prepare(self, ref: ArtifactRef) -> tuple[SearchSnapshot, FetchedVersion]:
        self.state = "fetching"
        version = fetch_version(self._run, ref)
        dataset = self._corpus.dataset()
        if self._run.settings.swap_policy == "resource":
            self._let_go()
        try:
            self.state = "loading"
            snapshot = load(version, self._run, dataset, self._backend, self._current)
            self.state = "probing"
            recorded = version.manifest.stats.get("dev") or {}
            probe(snapshot, self._run.config.model.max_query_tokens, recorded)
        except (RefusedVersion, TemporaryError):
            if self._current is None and self._loaded is not None:
                self._current = load(self._loaded, self._run, dataset, self._backend)
            raise
        return snapshot, version

    def _let_go(self) -> None:
        """Free the present version before the next one is loaded: there is memory for one only."""
        if self._current is None:
            return
        self._leaving = weakref.ref(self._current.encoder)
        self._current = None
        deadline = time.monotonic() + LET_GO_SECONDS
        while not self._tidied() and time.monotonic() < deadline and not self._poller.pause(0.01):
            gc.collect()

    def _tidied(self) -> bool:
        """Whether the version before has gone with its last batch; its memory is given back to the system then.

        The C library would keep it, in pieces that the next version does not quite fit into.
        """
        if self._leaving is not None and self._leaving() is None:
            self._leaving = None
            gc.collect()  # what made the encoder may still be there
            return_freed_memory()
        return self._leaving is None

    def _activate(self, snapshot: SearchSnapshot, version: FetchedVersion, manifest_sha256: str) -> None:
        if self._loaded is None:
            # What was imported stays. The collector would walk its 400,000 objects again and again, a fifth of a
            # second each time, in which no search is answered.
            gc.collect()
            gc.freeze()
            self._poller.give_way()
        if self._current is not None:
            self._leaving = weakref.ref(self._current.encoder)
        self._current = snapshot
        self._active_sha256 = manifest_sha256
        self._loaded, self._replaced = version, self._loaded
        kind = self._run.config.index
        self._metrics.index.info({"backend": kind.backend, "factory": kind.factory})
        self._metrics.index_step.set(snapshot.step)
        self._metrics.index_created_timestamp_seconds.set(snapshot.created_at)
