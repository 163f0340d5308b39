"""The newest negatives, fetched beside training so that no step waits for them."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ance.errors import AnceError
from ance.negatives.mined import MinedNegatives
from ance.runtime.artifacts import CorruptArtifact, fetch, read_manifest
from ance.runtime.contracts import ArtifactRef, Kind
from ance.runtime.holds import VersionHold
from ance.runtime.logs import get_logger
from ance.runtime.store import Store
from ance.runtime.tracing import span

log = get_logger(__name__)

FIRST_RETRY_SECONDS, LONGEST_RETRY_SECONDS = 15.0, 900.0
"""Pauses before a version that was found corrupt is read again, each twice as long as the one before: its download may
have been at fault, or somebody mends the store, and each look costs a download."""


@dataclass(frozen=True, slots=True)
class NegativesVersion:
    """Published negatives and the checkpoint that they were mined with."""

    ref: ArtifactRef
    checkpoint_created_at: float
    negatives: MinedNegatives

    @property
    def step(self) -> int:
        """Step of that checkpoint, which names the version."""
        return self.ref.step


class FreshNegatives:
    """Looks for newer negatives in its own thread; `newest` is swapped as a whole.

    Use as a context manager. A version that fails verification is logged and tried again after a while: training
    goes on with the one it has, and takes a newer one that comes meanwhile.

    Attributes:
        failing: whether the version looked at last could not be read.
    """

    def __init__(
        self,
        store: Store,
        hold: VersionHold,
        look: Callable[[], ArtifactRef | None],
        cache: Path,
        poll_seconds: float,
    ) -> None:
        """`look` says which version is the newest, every `poll_seconds`; `hold` keeps it while it is read."""
        self.failing = False
        self._store = store
        self._hold = hold
        self._look_up = look
        self._cache = cache
        self._poll_seconds = poll_seconds
        self._newest: NegativesVersion | None = None
        self._refused = ""  # sha256 of the manifest of the version that was found corrupt
        self._pause = 0.0
        self._not_before = 0.0  # on the monotonic clock: when it is tried again
        self._changed = threading.Condition()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._poll, name="negatives", daemon=True)

    def __enter__(self) -> "FreshNegatives":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()

    @property
    def newest(self) -> NegativesVersion | None:
        """The newest verified version, or None before the first. Never blocks."""
        return self._newest

    def wait_from(self, step: int, timeout: float) -> NegativesVersion | None:
        """Wait at most `timeout` seconds for a version of checkpoint `step` or newer."""
        with self._changed:
            self._changed.wait_for(lambda: self._newest is not None and self._newest.step >= step, timeout)
            return self._newest if self._newest is not None and self._newest.step >= step else None

    def _poll(self) -> None:
        while not self._stopping.is_set():
            try:
                self._look()
            except (AnceError, OSError) as error:
                # An outage of the store, or the version was replaced or deleted meanwhile: it passes.
                self.failing = True
                log.warning("negatives not read, trying again: %s", error)
            self._stopping.wait(self._poll_seconds)

    def _look(self) -> None:
        ref = self._look_up()
        if ref is None or not self._is_newer(ref):
            return
        if ref.manifest_sha256 == self._refused and time.monotonic() < self._not_before:
            return
        try:
            with span("pick up", parent=ref.traceparent, version=ref.step):
                self._take(ref)
        except CorruptArtifact as error:
            self._refuse(ref)
            log.error("negatives refused, trying again in %.0f s: %s", self._pause, error)

    def _is_newer(self, ref: ArtifactRef) -> bool:
        return self._newest is None or ref.step > self._newest.step

    def _refuse(self, ref: ArtifactRef) -> None:
        again = ref.manifest_sha256 == self._refused
        self._pause = min(2 * self._pause, LONGEST_RETRY_SECONDS) if again else FIRST_RETRY_SECONDS
        self._refused, self._not_before, self.failing = ref.manifest_sha256, time.monotonic() + self._pause, True

    def _take(self, ref: ArtifactRef) -> None:
        with self._hold.holding((Kind.NEGATIVES, ref.step)):
            folder = fetch(self._store, ref, self._cache)
            manifest = read_manifest(self._store, ref.manifest_uri, expected_sha256=ref.manifest_sha256)
            created_at = float(manifest.stats["checkpoint_created_at"])
            version = NegativesVersion(ref, created_at, MinedNegatives.open(folder))
        with self._changed:
            self._newest, self.failing = version, False
            self._changed.notify_all()
        log.info("newer negatives", extra={"version": ref.step})
