"""What rank 0 does for all, and what the others do instead."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from torch.optim import Optimizer

from ance.data.dataset import Dataset
from ance.data.tokenizer import Tokenizer
from ance.errors import AnceError
from ance.model.bi_encoder import BiEncoder
from ance.model.chunks import Chunking
from ance.negatives.mined import MinedNegatives
from ance.runtime.artifacts import fetch
from ance.runtime.contracts import ArtifactRef, RunConfig
from ance.runtime.feed import CheckpointServer
from ance.runtime.kubernetes.events import Announce, unheard
from ance.runtime.layout import RunLayout
from ance.runtime.lease import RunLease
from ance.runtime.logs import get_logger
from ance.runtime.store import Store
from ance.training.state import TrainerState
from services.trainer.bm25_negatives import bm25_negatives
from services.trainer.boundary import OFFER
from services.trainer.checkpoints import Checkpoints, Restored
from services.trainer.ranks import Ranks
from services.trainer.series import Series

log = get_logger(__name__)

START, BM25 = "start", "bm25"
"""On the board: the checkpoint to begin with, and that BM25's negatives are in the store."""


class TrainingInterrupted(Exception):
    """Shutdown was requested, a peer is gone, or another trainer holds the run: the next trainer continues."""


class Duties(Protocol):
    """What a trainer process does besides computing steps."""

    @property
    def lost(self) -> bool:
        """Whether another trainer may hold the run, so that nothing may be published."""

    def begin(self) -> Restored:
        """The checkpoint that training goes on from; a new run's start is made first."""

    def bm25(self) -> MinedNegatives:
        """BM25's negatives, mined first where the run has none."""

    def newest_negatives(self) -> ArtifactRef | None:
        """The version of mined negatives to get ready for."""

    def record(self, step: int, line: dict[str, object]) -> None:
        """Keep the record of the step that `step` counts in."""

    def save(self, model: BiEncoder, optimiser: Optimizer, state: TrainerState, *, final: bool) -> None:
        """Publish a checkpoint; the run ends with the one that is `final`."""


@dataclass(frozen=True, slots=True)
class Leader:
    """Rank 0, or the only one: holds the run, starts it, publishes, and tells the others what they need."""

    config: RunConfig
    dataset: Dataset
    store: Store
    layout: RunLayout
    cache: Path
    ranks: Ranks
    lease: RunLease
    feed: CheckpointServer
    checkpoints: Checkpoints
    series: Series
    announce: Announce = unheard

    @property
    def lost(self) -> bool:
        """See `Duties`."""
        return self.lease.lost.is_set()

    def begin(self) -> Restored:
        """See `Duties`.

        Raises:
            AnceError: the data set was prepared for another model.
        """
        restored = self.checkpoints.newest() or self._start()
        if restored.ref.step:
            log.info("resuming", extra={"step": restored.ref.step})
        self.feed.announce(restored.ref)
        self.series.resume(restored.ref.step)
        self.ranks.post(START, restored.ref.model_dump_json())
        return restored

    def bm25(self) -> MinedNegatives:
        """See `Duties`."""
        mined = bm25_negatives(self.store, self.layout, self.config, self.dataset, self.lease, self.cache)
        self.ranks.post(BM25, self.layout.bm25_negatives)
        return mined

    def newest_negatives(self) -> ArtifactRef | None:
        """See `Duties`: the newest of the run."""
        return self.store.read_pointer(self.layout.pointer("negatives"))

    def record(self, step: int, line: dict[str, object]) -> None:
        """See `Duties`."""
        self.feed.set_step(step)
        self.series.add(line)

    def save(self, model: BiEncoder, optimiser: Optimizer, state: TrainerState, *, final: bool) -> None:
        """See `Duties`."""
        self.series.flush(state.step)
        self.checkpoints.publish(model, optimiser, state, final=final)
        self.announce("CheckpointPublished", f"checkpoint of step {state.step} ({state.stage})")

    def _start(self) -> Restored:
        torch.manual_seed(self.config.training.seed)
        model = BiEncoder.start(self.config.model)
        self._require_same_tokenizer(model)
        self._require_whole_passages()
        untrained = not self.config.training.total_steps
        self.checkpoints.publish(model, None, TrainerState(step=0, stage="warmup"), final=untrained)
        started = self.checkpoints.newest()
        assert started is not None, "it has just been published"
        return started

    def _require_same_tokenizer(self, model: BiEncoder) -> None:
        """The token ids of the data set mean something else to another model's tokenizer."""
        settings = self.config.model
        queries = settings.query_name_or_path or settings.name_or_path
        for tower, key, name in (
            (model, "name_or_path", settings.name_or_path),
            (model.queries, "query_name_or_path", queries),
        ):
            if Tokenizer.load(tower.tokenizer_path).sha256 != self.dataset.meta.tokenizer_sha256:
                raise AnceError(
                    f"dataset '{self.config.dataset}' was prepared with another tokenizer than that of "
                    f"model.{key} '{name}': prepare it again with --model {name} and another --name"
                )

    def _require_whole_passages(self) -> None:
        """Where passages are read in chunks, those that the data set has cut would be read in part."""
        chunking = Chunking.of(self.config.model, self.dataset.special)
        cut_at, wanted = self.dataset.meta.max_tokens, chunking.content * chunking.most
        if chunking.most > 1 and cut_at < wanted and self.dataset.passages.tokens.lengths.max(initial=0) == cut_at:
            raise AnceError(
                f"dataset '{self.config.dataset}' has cut its passages at {cut_at} tokens, but model.max_chunks "
                f"{chunking.most} reads {wanted}: prepare it again with --max-tokens {wanted} and another --name"
            )


@dataclass(frozen=True, slots=True)
class Follower:
    """Any other rank: takes from the store what rank 0 names, and leaves no trace of its own."""

    store: Store
    layout: RunLayout
    cache: Path
    ranks: Ranks
    stop: Callable[[], bool]

    @property
    def lost(self) -> bool:
        """See `Duties`: rank 0 watches over the lease."""
        return False

    def begin(self) -> Restored:
        """See `Duties`: the checkpoint that rank 0 names."""
        ref = ArtifactRef.model_validate_json(self._told(START))
        return Restored(ref, fetch(self.store, ref, self.cache))

    def bm25(self) -> MinedNegatives:
        """See `Duties`: what rank 0 has mined."""
        return MinedNegatives.open(fetch(self.store, self._told(BM25), self.cache))

    def newest_negatives(self) -> ArtifactRef | None:
        """See `Duties`: what rank 0 offers."""
        offer = self.ranks.read(OFFER)
        return None if offer is None else ArtifactRef.model_validate_json(offer)

    def record(self, step: int, line: dict[str, object]) -> None:
        """See `Duties`: rank 0 does."""

    def save(self, model: BiEncoder, optimiser: Optimizer, state: TrainerState, *, final: bool) -> None:
        """See `Duties`: rank 0 does, all have the same weights."""

    def _told(self, subject: str) -> str:
        text = self.ranks.told(subject, self.stop)
        if text is None:
            raise TrainingInterrupted(f"while waiting for rank 0 to name: {subject}")
        return text
