"""The loop of the trainer: warm-up, then ANCE, checkpoints on the way, resumable at every one of them."""

import time
from typing import Any

import torch

from ance.data.dataset import Dataset
from ance.data.tokenizer import Tokenizer
from ance.errors import AnceError
from ance.model.bi_encoder import BiEncoder
from ance.runtime.contracts import RunConfig
from ance.runtime.feed import CheckpointServer
from ance.runtime.lease import RunLease
from ance.runtime.logs import get_logger
from ance.runtime.metrics import TrainerMetrics
from ance.runtime.process import limit_threads
from ance.runtime.shutdown import Shutdown
from ance.training.batches import TrainingBatches
from ance.training.optimisers import build_optimiser
from ance.training.preparation import prepare_for_training
from ance.training.schedule import learning_rate
from ance.training.state import TrainerState
from ance.training.step import StepResult, TrainingStep, TrainingTexts
from services.trainer.checkpoints import Checkpoints, Restored
from services.trainer.negative_supply import NegativeSupply, Supply
from services.trainer.series import Series
from services.trainer.settings import TrainerSettings
from services.trainer.stages import Stage, stages

log = get_logger(__name__)


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
        self._dataset = dataset
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
        self._supply.start(stage)
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
                    self._save(model, optimiser, stage, step)
                raise TrainingInterrupted(f"at step {step}")
            result = stepper.run(
                step,
                self._batches.batch(step, supply.source),
                loss=stage.config.loss,
                learning_rate=learning_rate(stage.config, step - stage.first),
            )
            step += 1
            self._record(stage, step, result, supply)
            if step % training.checkpoint_steps == 0 or step == stage.last:
                self._save(model, optimiser, stage, step)
                saved = step

    def _save(self, model: BiEncoder, optimiser: torch.optim.Optimizer, stage: Stage, step: int) -> None:
        state = TrainerState(step=step, stage=stage.name, negatives_step=self._supply.version)
        self._series.flush(step)
        self._checkpoints.publish(model, optimiser, state)

    def _stopping(self) -> bool:
        return self._shutdown.requested or self._lease.lost.is_set()

    def _record(self, stage: Stage, step: int, result: StepResult, supply: Supply) -> None:
        """Show the step in the metrics and keep it in the run's series."""
        gap, gap_seconds = supply.async_gap(step), supply.async_gap_seconds()
        self._feed.set_step(step)
        self._metrics.observe_step(
            step=step,
            loss=result.loss,
            learning_rate=result.learning_rate,
            seconds=result.seconds,
            tokens=result.tokens,
        )
        record: dict[str, Any] = {
            "step": step,
            "stage": stage.name,
            "time": round(time.time(), 3),
            "seconds": round(result.seconds, 4),
            "loss": result.loss,
            "learning_rate": result.learning_rate,
            "async_gap": gap,
            "async_gap_seconds": gap_seconds,
        }
        if step % self._config.training.gradient_norm_steps == 0:
            for group, norm in result.gradient_norms.items():
                self._metrics.gradient_norm.labels(group=group).set(norm)
            record["gradient_norms"] = result.gradient_norms
        if gap is not None and gap_seconds is not None and supply.version is not None:
            self._metrics.async_gap_steps.set(gap)
            self._metrics.async_gap_seconds.set(gap_seconds)
            self._metrics.negatives_checkpoint_step.set(supply.version.step)
        self._series.add(record)
