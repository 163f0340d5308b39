"""The newest negatives, fetched beside training so that no step waits for them."""

import threading
from dataclasses import dataclass
from pathlib import Path

from ance.errors import AnceError
from ance.negatives.mined import MinedNegatives
from ance.runtime.artifacts import CorruptArtifact, fetch, read_manifest
from ance.runtime.contracts import ArtifactRef
from ance.runtime.layout import RunLayout
from ance.runtime.logs import get_logger
from ance.runtime.store import Store

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class NegativesVersion:
    """Published negatives and the checkpoint that they were mined with."""

    step: int
    checkpoint_created_at: float
    negatives: MinedNegatives


class FreshNegatives:
    """Polls the negatives pointer in its own thread; `newest` is swapped as a whole.

    Use as a context manager. A version that fails verification is logged and skipped: training goes on with the
    one it has.
    """

    def __init__(self, store: Store, layout: RunLayout, cache: Path, poll_seconds: float) -> None:
        self._store = store
        self._layout = layout
        self._cache = cache
        self._poll_seconds = poll_seconds
        self._newest: NegativesVersion | None = None
        self._refused = ""  # sha256 of the manifest that was found corrupt: said once, not at every look
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
                log.warning("negatives not read, trying again: %s", error)
            self._stopping.wait(self._poll_seconds)

    def _look(self) -> None:
        ref = self._store.read_pointer(self._layout.pointer("negatives"))
        if ref is None or ref.manifest_sha256 == self._refused or not self._is_newer(ref):
            return
        try:
            self._take(ref)
        except CorruptArtifact as error:
            self._refused = ref.manifest_sha256
            log.error("negatives refused: %s", error)

    def _is_newer(self, ref: ArtifactRef) -> bool:
        return self._newest is None or ref.step > self._newest.step

    def _take(self, ref: ArtifactRef) -> None:
        folder = fetch(self._store, ref, self._cache)
        manifest = read_manifest(self._store, ref.manifest_uri, expected_sha256=ref.manifest_sha256)
        created_at = float(manifest.stats["checkpoint_created_at"])
        version = NegativesVersion(ref.step, created_at, MinedNegatives.open(folder))
        with self._changed:
            self._newest = version
            self._changed.notify_all()
        log.info("newer negatives", extra={"version": ref.step})
