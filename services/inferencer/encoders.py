"""The encoders of recent checkpoints, loaded before the first task needs them."""

import threading
from collections import OrderedDict
from pathlib import Path

from ance.errors import AnceError
from ance.model.encoding import TextEncoder
from ance.runtime.artifacts import fetch, read_manifest
from ance.runtime.contracts import ArtifactRef, EncodingConfig, Kind
from ance.runtime.feed import CheckpointWatcher
from ance.runtime.holds import VersionHold
from ance.runtime.layout import TRAINER_STATE
from ance.runtime.logs import get_logger
from ance.runtime.metrics import InferencerMetrics
from ance.runtime.shutdown import Shutdown
from ance.runtime.store import Store
from ance.runtime.tracing import span

log = get_logger(__name__)

KEPT = 2
"""The checkpoint in use and the one that was announced after it."""


class Encoders:
    """Encoders by the hash of their checkpoint's manifest, so that a task can only get the one it names."""

    def __init__(
        self,
        store: Store,
        hold: VersionHold,
        cache: Path,
        config: EncodingConfig,
        device: str,
        metrics: InferencerMetrics,
    ) -> None:
        self._store = store
        self._hold = hold
        self._cache = cache
        self._config = config
        self._device = device
        self._metrics = metrics
        self._loading = threading.Lock()
        self._changing = threading.Lock()
        self._loaded: OrderedDict[str, TextEncoder] = OrderedDict()  # least recently used first

    def get(self, manifest_uri: str, manifest_sha256: str) -> TextEncoder:
        """The encoder of exactly this checkpoint; loads it if it was not preloaded.

        One that is loaded is had at once, also while another is being loaded.

        Raises:
            CorruptArtifact: the store holds other bytes than the hash names.
            ArtifactNotFound: retention is deleting it: nobody waits for its vectors any more.
        """
        encoder = self._recall(manifest_sha256)
        if encoder is None:
            with self._loading:
                # Whoever held the lock may have loaded this one.
                encoder = self._recall(manifest_sha256)
                if encoder is None:
                    encoder = self._load(manifest_uri, manifest_sha256)
                    self._keep(manifest_sha256, encoder)
        return encoder

    def preload(self, watcher: CheckpointWatcher, shutdown: Shutdown, first_step: int) -> None:
        """Load each announced checkpoint that a refresh may use, until shutdown. Runs in its own thread."""
        step = first_step - 1
        while not shutdown.requested:
            newest = watcher.wait_newer(step, timeout=1.0)
            if newest is not None:
                step = newest.step
                self._preload(newest)

    def _preload(self, ref: ArtifactRef) -> None:
        try:
            with span("preload", parent=ref.traceparent, step=ref.step):
                self.get(ref.manifest_uri, ref.manifest_sha256)
        except (AnceError, OSError, ValueError, RuntimeError) as error:
            # Preloading only hides latency: the task that needs the checkpoint loads it or reports the error.
            log.warning("checkpoint not preloaded: %s", error, extra={"step": ref.step})

    def _recall(self, manifest_sha256: str) -> TextEncoder | None:
        with self._changing:
            if manifest_sha256 in self._loaded:
                self._loaded.move_to_end(manifest_sha256)
            return self._loaded.get(manifest_sha256)

    def _keep(self, manifest_sha256: str, encoder: TextEncoder) -> None:
        with self._changing:
            self._loaded[manifest_sha256] = encoder
            while len(self._loaded) > KEPT:
                self._loaded.popitem(last=False)

    def _load(self, manifest_uri: str, manifest_sha256: str) -> TextEncoder:
        with self._metrics.checkpoint_load_seconds.time():
            manifest = read_manifest(self._store, manifest_uri, expected_sha256=manifest_sha256)
            # Named by its hash: the folder may be published anew between the two reads.
            ref = ArtifactRef(
                step=manifest.step,
                manifest_uri=manifest_uri,
                manifest_sha256=manifest_sha256,
                created_at=manifest.created_at,
            )
            with self._hold.holding((Kind.CHECKPOINT, manifest.step)):
                folder = fetch(self._store, ref, self._cache, skip=f"{TRAINER_STATE}/")
                encoder = TextEncoder.load(
                    folder,
                    device=self._device,
                    dtype=self._config.dtype,
                    token_budget=self._config.token_budget,
                    backend=self._config.compile,
                )
        self._metrics.checkpoint_step.set(manifest.step)
        log.info("checkpoint loaded", extra={"step": manifest.step})
        return encoder
