"""Checkpoints: written whole, published, announced; and found again after a crash."""

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from torch.optim import Optimizer

from ance.model.bi_encoder import BiEncoder
from ance.runtime.artifacts import fetch, publish
from ance.runtime.contracts import ArtifactRef, Kind, RunConfig
from ance.runtime.feed import CheckpointServer
from ance.runtime.layout import TRAINER_STATE, RunLayout
from ance.runtime.lease import RunLease
from ance.runtime.logs import get_logger
from ance.runtime.metrics import TrainerMetrics
from ance.runtime.store import Store
from ance.runtime.tracing import span
from ance.training.state import TrainerState, load_state, save_state
from services.trainer.stages import Stage

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Restored:
    """The newest checkpoint of the run, as a local folder."""

    ref: ArtifactRef
    folder: Path

    def load_model(self) -> BiEncoder:
        """The model with the checkpoint's weights."""
        return BiEncoder.load(self.folder)

    def continues(self, stage: Stage) -> bool:
        """True where the checkpoint was taken inside this stage, so that its optimiser goes on."""
        return stage.first < self.ref.step < stage.last

    def load_optimiser(self, optimiser: Optimizer) -> None:
        """Restore the optimiser's tensors and the random state."""
        load_state(self.folder / TRAINER_STATE, optimiser)


@dataclass(frozen=True, slots=True)
class Checkpoints:
    """Publishes and restores the checkpoints of one run."""

    store: Store
    layout: RunLayout
    config: RunConfig
    feed: CheckpointServer
    metrics: TrainerMetrics
    lease: RunLease
    cache: Path

    def newest(self) -> Restored | None:
        """The newest published checkpoint, verified; None before the first."""
        ref = self.store.read_pointer(self.layout.pointer("checkpoint"))
        if ref is None:
            return None
        return Restored(ref, fetch(self.store, ref, self.cache))

    def publish(
        self, model: BiEncoder, optimiser: Optimizer | None, state: TrainerState, *, final: bool = False
    ) -> None:
        """Save model and trainer state, make them visible, tell the fleet.

        `optimiser` is None for the start checkpoint, which nothing was trained for yet. The run ends with the one that
        is `final`.
        """
        with (
            span("checkpoint", step=state.step, stage=state.stage),
            self.metrics.checkpoint_save_seconds.time(),
            TemporaryDirectory(dir=self.cache) as staging,
        ):
            folder = Path(staging)
            with span("write"):
                model.save(folder)
                if optimiser is not None:
                    save_state(folder / TRAINER_STATE, state, optimiser)
            ref = publish(
                self.store,
                self.layout.checkpoint(state.step),
                folder,
                kind=Kind.CHECKPOINT,
                run_id=self.config.run,
                step=state.step,
                fencing_token=self.lease.token,
                config_sha256=self.config.sha256,
                stats={"stage": state.stage},
                pointer=self.layout.pointer("checkpoint"),
                final=final,
            )
            with span("announce"):
                self.feed.announce(ref)
        log.info("checkpoint published", extra={"step": state.step})
