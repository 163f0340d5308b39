"""Scoring of pairs with the teacher of the run."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ance.data.dataset import Dataset
from ance.model.encoding import CPU_TOKEN_BUDGET
from ance.negatives.pair_scores import rows_of
from ance.runtime.artifacts import CorruptArtifact, fetch, read_manifest
from ance.runtime.artifacts.manifests import ref_to
from ance.runtime.contracts import EncodingConfig, ScoreTask
from ance.runtime.logs import get_logger
from ance.runtime.store import Store

if TYPE_CHECKING:
    from ance.model.cross_encoder import CrossEncoder

log = get_logger(__name__)


class PairScorer:
    """The teacher, loaded when the first task asks for it: runs without one pay nothing.

    Args:
        dataset: its texts are tokenised again, as pairs.
        store: of the run.
        cache: for downloads.
        config: precision and tokens of a forward pass are those of encoding.
        device: as for encoding.
    """

    def __init__(self, dataset: Dataset, store: Store, cache: Path, config: EncodingConfig, device: str) -> None:
        self._queries, self._passages = dataset.queries("train"), dataset.passages
        self._store = store
        self._cache = cache
        self._config = config
        self._device = device
        self._loaded: tuple[str, CrossEncoder] | None = None

    def load(self, task: ScoreTask) -> CrossEncoder:
        """Exactly the teacher that the task names.

        Raises:
            CorruptArtifact: the store holds other bytes than the hash names.
            ArtifactNotFound: it holds none.
        """
        if self._loaded is None or self._loaded[0] != task.teacher_sha256:
            from ance.model.cross_encoder import CrossEncoder

            manifest = read_manifest(self._store, task.teacher_uri, expected_sha256=task.teacher_sha256)
            folder = fetch(self._store, ref_to(manifest, task.teacher_uri, task.teacher_sha256), self._cache)
            budget = self._config.token_budget
            model = CrossEncoder.load(
                folder,
                device=self._device,
                dtype=self._config.dtype,
                max_tokens=int(manifest.stats["max_tokens"]),
                token_budget=min(budget, CPU_TOKEN_BUDGET) if self._device == "cpu" else budget,
            )
            self._loaded = task.teacher_sha256, model
            log.info("teacher loaded")
        return self._loaded[1]

    def score(self, task: ScoreTask, should_stop: Callable[[], bool]) -> NDArray[np.float32]:
        """Scores of the task's pairs, float32 [pairs].

        Raises:
            EncodingStopped: `should_stop` said so.
            CorruptArtifact: the pairs are not those that the task is about.
        """
        texts = [
            (self._queries.full_text(query), self._passages.full_text(passage))
            for query, passage in zip(*(rows.tolist() for rows in rows_of(self._pairs(task))), strict=True)
        ]
        return self.load(task).score_pairs(texts, should_stop)

    def _pairs(self, task: ScoreTask) -> NDArray[np.int64]:
        data = self._store.read(task.pairs_uri)
        found = hashlib.sha256(data).hexdigest()
        if found != task.pairs_sha256:
            raise CorruptArtifact(f"{task.pairs_uri}: has sha256 {found}, the task names {task.pairs_sha256}")
        pairs: NDArray[np.int64] = np.load(io.BytesIO(data), allow_pickle=False)
        return pairs
