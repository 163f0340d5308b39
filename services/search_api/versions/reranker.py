"""Follows the reranker's pointer and loads the newest cross-encoder."""

from __future__ import annotations

import logging

from ance.errors import AnceError
from ance.runtime.artifacts import fetch
from ance.runtime.contracts import ArtifactRef
from ance.runtime.run import OpenRun
from services.search_api.engine.reranking import Reranker
from services.search_api.settings import SearchSettings
from services.search_api.versions.late_imports import import_models
from services.search_api.versions.poller import Poller

log = logging.getLogger(__name__)


class RerankerFollower:
    """Keeps `current` at the newest published cross-encoder that can be loaded; None until there is one."""

    def __init__(self, run: OpenRun[SearchSettings]) -> None:
        self._run = run
        self._current: Reranker | None = None
        self._seen = ""
        self._problem = ""
        self._poller = Poller("reranker-follower", self.poll, run.settings.poll_seconds)

    def start(self) -> None:
        """Follow in the background."""
        self._poller.start()

    def stop(self) -> None:
        """Stop following."""
        self._poller.stop()

    def current(self) -> Reranker | None:
        """The cross-encoder to score with."""
        return self._current

    def poll(self) -> None:
        """Look at the pointer once and load what is new. One that cannot be loaded is tried again and again."""
        try:
            ref = self._run.store.read_pointer(self._run.layout.pointer("reranker"))
            if ref is None or ref.manifest_sha256 == self._seen:
                return
            self._current = self._load(ref)
        except (AnceError, OSError) as error:
            if str(error) != self._problem:
                log.warning("no newer reranker can be loaded: %s", error)
            self._problem = str(error)
            return
        self._seen, self._problem = ref.manifest_sha256, ""
        log.info("reranker loaded", extra={"step": ref.step})

    def _load(self, ref: ArtifactRef) -> Reranker:
        import_models()  # at full priority: the first index may wait for it
        self._poller.give_way()
        from ance.model.cross_encoder import CrossEncoder

        settings, encoding = self._run.settings, self._run.config.encoding
        folder = fetch(self._run.store, ref, settings.cache_dir)
        model = CrossEncoder.load(
            folder, device=settings.device, dtype=encoding.dtype, max_tokens=settings.rerank_tokens
        )
        return Reranker(ref.step, model, ref.created_at)
