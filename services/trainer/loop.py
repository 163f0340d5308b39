"""The loop of the trainer: warm-up, then ANCE, checkpoints on the way, resumable at every one of them."""

from collections.abc import Callable

import torch

from ance.data.dataset import Dataset
from ance.data.tokenizer import Tokenizer
from ance.errors import AnceError
from ance.model.bi_encoder import BiEncoder
from ance.runtime.contracts import RunConfig
from ance.runtime.feed import CheckpointServer
from ance.runtime.health import Health
from ance.runtime.kubernetes.events import Announce, unheard
from ance.runtime.lease import RunLease
from ance.runtime.left_behind import LeftBehind, unless
from ance.runtime.logs import get_logger
from ance.runtime.metrics import TrainerMetrics
from ance.runtime.process import limit_threads
from ance.runtime.shutdown import Shutdown
from ance.training.batches import TrainingBatches
from ance.training.optimisers import build_optimiser
from ance.training.preparation import prepare_for_training
from ance.training.schedule import learning_rate
from ance.training.state import TrainerState
from ance.training.step import NonFiniteLoss, StepResult, TrainingStep, TrainingTexts
from services.trainer.checkpoints import Checkpoints, Restored
from services.trainer.negative_supply import NegativeSupply, Supply
from services.trainer.series import Series
from services.trainer.settings import TrainerSettings
from services.trainer.stages import Stage, stages
from services.trainer.step_record import record, show

log = get_logger(__name__)

NONFINITE_STEPS = 3
"""So many steps in a row without a finite loss mean that the model has diverged. A single one is left out, as loss
scaling does it: the weights are as they were, and the next batch is another."""
SAVING_SHARE = 0.6
"""Of the grace period: the rest is for noticing the signal, for what hangs, and for leaving in order."""


class TrainingInterrupted(Exception):
    """Shutdown was requested, or another trainer holds the run: the next trainer continues."""


class Trainer:
    """Trains one run from wherever its newest checkpoint stands to its end."""

    def __init__(
        self,
        config: RunConfig,
        settings: TrainerSettings,
        dataset: Dataset,
        supply: NegativeSupply,
        checkpoints: Checkpoints,
        series: Series,
        feed: CheckpointServer,
        lease: RunLease,
        metrics: TrainerMetrics,
        shutdown: Shutdown,
        *,
        health: Health | None = None,
        announce: Announce = unheard,
    ) -> None:
        self._config = config
        self._settings = settings
        self._supply = supply
        self._checkpoints = checkpoints
        self._series = series
        self._feed = feed
        self._lease = lease
        self._metrics = metrics
        self._shutdown = shutdown
        self._health = health or Health()
        self._announce = announce
        self._dataset = dataset
        self._nonfinite = 0  # steps left out in a row
        self._batches = TrainingBatches(dataset.qrels("train"), config.training)
        self._texts = TrainingTexts(
            queries=dataset.queries("train").tokens,
            passages=dataset.passages.tokens,
            special=dataset.special,
            max_query_tokens=config.model.max_query_tokens,
            max_passage_tokens=config.model.max_passage_tokens,
        )

    def run(self) -> None:
        """Train to the end of the run.

        Raises:
            TrainingInterrupted: told to stop; after a shutdown request the state is saved.
        """
        self._metrics.total_steps.set(self._config.training.total_steps)
        self._metrics.checkpoint_interval_steps.set(self._config.training.checkpoint_steps)
        with self._health.long_work():
            restored = self._checkpoints.newest()
            model = self._start() if restored is None else self._resume(restored)
        step = 0 if restored is None else restored.ref.step
        self._series.resume(step)
        for stage in stages(self._config.training):
            if step < stage.last:
                self._train(stage, model, step, restored)
                step = stage.last

    def _start(self) -> BiEncoder:
        torch.manual_seed(self._config.training.seed)
        model = BiEncoder.start(self._config.model)
        self._require_same_tokenizer(model)
        self._checkpoints.publish(model, None, TrainerState(step=0, stage="warmup"))
        return self._prepared(model)

    def _require_same_tokenizer(self, model: BiEncoder) -> None:
        """The token ids of the data set mean something else to another model's tokenizer."""
        if Tokenizer.load(model.tokenizer_path).sha256 != self._dataset.meta.tokenizer_sha256:
            raise AnceError(
                f"dataset '{self._config.dataset}' was prepared with another tokenizer than that of "
                f"model.name_or_path '{self._config.model.name_or_path}': prepare it again with --model "
                f"{self._config.model.name_or_path} and another --name"
            )

    def _resume(self, restored: Restored) -> BiEncoder:
        log.info("resuming", extra={"step": restored.ref.step})
        self._feed.announce(restored.ref)
        return self._prepared(restored.load_model())

    def _prepared(self, model: BiEncoder) -> BiEncoder:
        return prepare_for_training(model, self._config.training.dropout, self._settings.device)

    def _train(self, stage: Stage, model: BiEncoder, step: int, restored: Restored | None) -> None:
        training = self._config.training
        self._metrics.set_stage(stage.name)
        if stage.config.negatives == "ance":
            limit_threads(self._settings.threads)  # from here on encoders need their share
        self._interruptibly(lambda: self._supply.start(stage))
        optimiser = build_optimiser(model, training, stage.config.learning_rate)
        if restored is not None and restored.continues(stage):
            restored.load_optimiser(optimiser)
        else:
            torch.manual_seed(training.seed + stage.first)
        stepper = TrainingStep(model, optimiser, self._texts, training)
        saved = step
        while step < stage.last:
            supply = None if self._stopping() else self._supply.for_step(stage, step)
            if supply is None:
                if step > saved and not self._lease.lost.is_set():
                    self._save_last(model, optimiser, stage, step)
                raise TrainingInterrupted(f"at step {step}")
            result = self._step(stepper, stage, step, supply)
            step += 1
            if result is not None:
                self._record(stage, step, result, supply)
            if step % training.checkpoint_steps == 0 or step == stage.last:
                self._save(model, optimiser, stage, step)
                saved = step

    def _step(self, stepper: TrainingStep, stage: Stage, step: int, supply: Supply) -> StepResult | None:
        """Make optimiser step number `step`; None where it was left out because its loss was not finite.

        Raises:
            NonFiniteLoss: for the last of `NONFINITE_STEPS` in a row.
        """
        try:
            result = stepper.run(
                step,
                self._batches.batch(step, supply.source),
                loss=stage.config.loss,
                learning_rate=learning_rate(stage.config, step - stage.first),
            )
        except NonFiniteLoss as error:
            self._metrics.nonfinite.inc()
            self._nonfinite += 1
            if self._nonfinite == NONFINITE_STEPS:
                raise
            log.error("step left out: %s", error, extra={"step": step + 1})
            return None
        self._nonfinite = 0
        return result

    def _save(self, model: BiEncoder, optimiser: torch.optim.Optimizer, stage: Stage, step: int) -> None:
        state = TrainerState(step=step, stage=stage.name, negatives_step=self._supply.version)
        self._series.flush(step)
        with self._health.long_work():
            self._checkpoints.publish(model, optimiser, state)
        self._announce("CheckpointPublished", f"checkpoint of step {step} ({stage.name})")

    def _save_last(self, model: BiEncoder, optimiser: torch.optim.Optimizer, stage: Stage, step: int) -> None:
        """Save in time to release the lease before SIGKILL. What is not whole by then was never there."""
        budget = SAVING_SHARE * self._settings.grace_seconds
        try:
            unless(lambda: self._shutdown.seconds_ago > budget, lambda: self._save(model, optimiser, stage, step))
        except LeftBehind:
            log.warning("no time to save, the steps since the last checkpoint are lost", extra={"step": step})

    def _interruptibly(self, work: Callable[[], None]) -> None:
        """Do work that asks nobody whether to stop. Nothing is lost by leaving it."""
        try:
            unless(self._stopping, work)
        except LeftBehind:
            raise TrainingInterrupted("before the first step of a stage") from None

    def _stopping(self) -> bool:
        self._health.beat()
        return self._shutdown.requested or self._lease.lost.is_set()

    def _record(self, stage: Stage, step: int, result: StepResult, supply: Supply) -> None:
        """Show the step in the metrics and keep it in the run's series."""
        self._feed.set_step(step)
        show(self._metrics, stage, step, result, supply)
        self._series.add(record(stage, step, result, supply))
