"""The loop of the trainer: warm-up, then ANCE, checkpoints on the way, resumable at every one of them."""

from collections.abc import Callable
from typing import TypeVar

import torch

from ance.data.dataset import Dataset
from ance.model.bi_encoder import BiEncoder
from ance.retrieval.bm25 import BM25
from ance.runtime.contracts import RunConfig
from ance.runtime.health import Health
from ance.runtime.left_behind import LeftBehind, unless
from ance.runtime.logs import get_logger
from ance.runtime.metrics import TrainerMetrics
from ance.runtime.process import limit_threads
from ance.runtime.shutdown import Shutdown
from ance.training.batches import TrainingBatches
from ance.training.data_parallel import PeerLost
from ance.training.determinism import be_deterministic
from ance.training.lexical_teacher import LexicalTeacher
from ance.training.optimisers import build_optimiser
from ance.training.preparation import compile_transformers, prepare_for_training
from ance.training.query_tower import train_queries_only
from ance.training.schedule import learning_rate
from ance.training.state import TrainerState
from ance.training.step import NonFiniteLoss, StepResult, TrainingStep, TrainingTexts
from services.trainer.checkpoints import Restored
from services.trainer.duties import Duties, TrainingInterrupted
from services.trainer.live_index import LiveIndex, LiveIndexes
from services.trainer.negative_supply import NegativeSupply, Supply
from services.trainer.ranks import Ranks
from services.trainer.settings import TrainerSettings
from services.trainer.stages import Stage, stages
from services.trainer.step_record import record, show

log = get_logger(__name__)

T = TypeVar("T")

NONFINITE_STEPS = 3
"""So many steps in a row without a finite loss mean that the model has diverged. A single one is left out, as loss
scaling does it: the weights are as they were, and the next batch is another."""
SAVING_SHARE = 0.6
"""Of the grace period: the rest is for noticing the signal, for what hangs, and for leaving in order."""


class Trainer:
    """Trains one run from wherever its newest checkpoint stands to its end."""

    def __init__(
        self,
        config: RunConfig,
        settings: TrainerSettings,
        dataset: Dataset,
        supply: NegativeSupply,
        duties: Duties,
        indexes: LiveIndexes,
        ranks: Ranks,
        metrics: TrainerMetrics,
        shutdown: Shutdown,
        health: Health,
        bm25: Callable[[], BM25],
    ) -> None:
        """`bm25` opens or builds the index of the passages, once a stage learns from it."""
        self._config = config
        self._settings = settings
        self._supply = supply
        self._duties = duties
        self._indexes = indexes
        self._ranks = ranks
        self._metrics = metrics
        self._shutdown = shutdown
        self._health = health
        self._bm25 = bm25
        self._nonfinite = 0  # steps left out in a row
        self._batches = TrainingBatches(dataset.qrels("train"), config.training)
        self._texts = TrainingTexts.of(dataset, config.model)
        self._query_text = dataset.queries("train").full_text

    def run(self) -> int:
        """Train to the end of the run: the number of its steps, or of fewer if it ends early.

        Raises:
            TrainingInterrupted: told to stop; after a shutdown request the state is saved.
        """
        training = self._config.training
        self._metrics.total_steps.set(training.total_steps)
        if training.deterministic:
            be_deterministic()
        with self._health.long_work():
            restored = self._duties.begin()
            model = restored.load_model()
            prepare_for_training(
                model,
                training.dropout,
                self._settings.device,
                checkpointing=training.gradient_checkpointing,
                backend=training.compile,
            )
        step = restored.ref.step
        for stage in stages(training):
            if step < stage.last and not restored.ref.final:
                step = self._train(stage, model, step, restored)
        self._metrics.total_steps.set(step)
        return step

    def _train(self, stage: Stage, model: BiEncoder, step: int, restored: Restored) -> int:
        """Train a stage from `step` on, to its end or to an early one: the steps done by then."""
        training = self._config.training
        self._metrics.set_stage(stage.name)
        if training.refreshes_beside(stage.config):
            limit_threads(self._settings.threads)  # from here on encoders need their share
        live = None
        if stage.config.negatives == "adore":
            live = self._live_index(stage)
            train_queries_only(model)
            if training.compile is not None:  # a copy, which queries may have now, is not compiled
                compile_transformers(model, training.compile)
        optimiser = build_optimiser(model, training.in_stage(stage.config), stage.config.learning_rate)
        if restored.continues(stage):
            restored.load_optimiser(optimiser)
        passages = None if live is None else live.passages
        teacher = self._lexical_teacher(stage)
        stepper = TrainingStep(model, optimiser, self._texts, training, self._ranks.parallel, passages, teacher)
        retrieve = None if live is None else live.ranked_by(stepper.query_vectors, self._ranks.parallel)
        self._interruptibly(lambda: self._supply.start(stage, retrieve))
        checkpoints, saved = training.checkpoints, step
        while step < stage.last and not self._supply.finishing:
            self._metrics.checkpoint_interval_steps.set(checkpoints.interval(step))
            try:
                result, supply = self._step(stepper, stage, step)
            except (TrainingInterrupted, PeerLost) as interruption:
                # A peer that is lost has changed no weight: those of the steps done are worth keeping.
                if step > saved and not self._duties.lost:
                    self._save_last(model, optimiser, stage, step)
                raise TrainingInterrupted(f"at step {step}: {interruption}") from interruption
            step += 1
            finishing = self._supply.finishing
            self._metrics.stopping.set(finishing)
            if result is not None:
                show(self._metrics, stage, step, result, supply)
                self._duties.record(step, record(stage, step, result, supply, stopping=finishing))
            if checkpoints.is_due(step) or step == stage.last or finishing:
                self._save(model, optimiser, stage, step, final=finishing or step == training.total_steps)
                saved = step
        return step

    def _live_index(self, stage: Stage) -> LiveIndex:
        """The index of a checkpoint that began the stage, or of a later one: waits for the first.

        Raises:
            TrainingInterrupted: asked to stop meanwhile.
        """
        ref = self._indexes.wait_from(stage.first, self._stopping)
        if ref is None:
            raise TrainingInterrupted("while waiting for the index of the stage")
        return self._interruptibly(lambda: self._indexes.open(ref, stage.first))

    def _lexical_teacher(self, stage: Stage) -> LexicalTeacher | None:
        """The teacher of a stage that has one, over an index that may have to be built first.

        Raises:
            TrainingInterrupted: asked to stop meanwhile.
        """
        config = stage.config.lexical_teacher
        if config is None:
            return None
        return LexicalTeacher(config, self._interruptibly(self._bm25), self._query_text)

    def _step(self, stepper: TrainingStep, stage: Stage, step: int) -> tuple[StepResult | None, Supply]:
        """Make optimiser step number `step`; its result is None where its loss was not finite and it was left out.

        Raises:
            TrainingInterrupted: one of the ranks wants to stop.
            PeerLost: one of the ranks is gone.
            NonFiniteLoss: for the last of `NONFINITE_STEPS` in a row.
        """
        supply = self._supply.for_step(stage, step)
        if supply is None:
            raise TrainingInterrupted("the lease of the run is lost" if self._duties.lost else "asked to stop")
        try:
            with supply.traced(step):
                batches = self._batches.batch(step, supply.source, supply.teacher)
                result = stepper.run(
                    step,
                    batches,
                    loss=stage.config.loss,
                    learning_rate=learning_rate(stage.config, step - stage.first),
                )
        except NonFiniteLoss as error:
            self._metrics.nonfinite.inc()
            self._nonfinite += 1
            if self._nonfinite == NONFINITE_STEPS:
                raise
            log.error("step left out: %s", error, extra={"step": step + 1})
            return None, supply
        self._nonfinite = 0
        if stage.config.shares_batch:
            size, shared = self._ranks.parallel.size, self._config.training.cross_device_negatives
            self._metrics.negatives_masked.inc(sum(batch.masked(size, shared=shared) for batch in batches))
        return result, supply

    def _save(
        self, model: BiEncoder, optimiser: torch.optim.Optimizer, stage: Stage, step: int, *, final: bool = False
    ) -> None:
        state = TrainerState(step=step, stage=stage.name, negatives_step=self._supply.version)
        with self._health.long_work():
            self._duties.save(model, optimiser, state, final=final)

    def _save_last(self, model: BiEncoder, optimiser: torch.optim.Optimizer, stage: Stage, step: int) -> None:
        """Save in time to release the lease before SIGKILL. What is not whole by then was never there."""
        budget = SAVING_SHARE * self._settings.grace_seconds
        try:
            unless(lambda: self._shutdown.seconds_ago > budget, lambda: self._save(model, optimiser, stage, step))
        except LeftBehind:
            log.warning("no time to save, the steps since the last checkpoint are lost", extra={"step": step})

    def _interruptibly(self, work: Callable[[], T]) -> T:
        """Do work that asks nobody whether to stop. Nothing is lost by leaving it."""
        try:
            return unless(self._stopping, work)
        except LeftBehind:
            raise TrainingInterrupted("before the first step of a stage") from None

    def _stopping(self) -> bool:
        self._health.beat()
        return self._shutdown.requested or self._duties.lost
