"""Settings of training."""

from typing import Literal, Self, get_args

from pydantic import (
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    field_validator,
    model_validator,
)

from ance.config import Section
from ance.model.config import CompileBackend
from ance.negatives.config import TeacherConfig
from ance.training.checkpoint_schedule import CheckpointSchedule
from ance.training.early_stopping import EarlyStoppingConfig

MixableKind = Literal["bm25", "given", "random", "ance"]
"""Negatives that a stage can have beside others."""
NegativesKind = Literal[MixableKind, "in_batch", "adore"]
PairLoss = Literal["pairwise", "lambda_rank"]
"""A loss over each query's own positive and negatives."""
BatchLoss = Literal["in_batch", "hardest_in_batch"]
"""A loss over all passages of the batch."""
TeacherLoss = Literal["margin_mse"]
"""A loss over each query's own positive and negatives, and what a cross-encoder thinks of them."""
LossKind = Literal[PairLoss, BatchLoss, TeacherLoss]
OptimiserKind = Literal["adamw", "lamb"]
RETRIEVED = ("ance", "adore")
"""Negatives that come from an index of the run."""
LISTS = ("bm25", "given", "ance")
"""Negatives that are sampled beforehand, `negatives.sample` of a query."""
OPTIMISER_SETTINGS = ("optimizer", "weight_decay", "adam_epsilon")
"""What a stage may have of its own."""


class LexicalTeacherConfig(Section):
    """How a stage learns from BM25's scores of every passage of the batch, not from the judgements alone."""

    weight: PositiveFloat = 1.0
    """Factor on the divergence from the teacher, which is added to the loss."""
    scale: PositiveFloat = 0.3
    """Factor on BM25's scores in the teacher's softmax."""
    judged: NonNegativeFloat = 3.0
    """What the positive has more than its scaled score: so much a judgement counts beside words."""


class StageConfig(Section):
    """One stage of training: a fresh optimiser, and one warm-up and decay of the learning rate."""

    steps: NonNegativeInt
    """Optimiser steps of the stage."""
    learning_rate: PositiveFloat
    lr_warmup_steps: NonNegativeInt = 0
    """Steps over which the learning rate rises linearly from 0."""
    lr_schedule: Literal["linear", "cosine", "constant"] = "linear"
    """What comes after: the learning rate falls to 0 in a line, or along half a cosine, or stays."""
    lr_decay_steps: PositiveInt | None = None
    """Step of the stage at which the learning rate would be 0 (None: its end). More than `steps` where a schedule is
    longer than the training, as the original's is."""
    optimizer: OptimiserKind | None = None
    """The stage's own optimiser (None: `training.optimizer`); so with the two settings that follow."""
    weight_decay: NonNegativeFloat | None = None
    adam_epsilon: PositiveFloat | None = None
    negatives: str
    """Where hard negatives come from: BM25's top passages (`bm25`), those that the data set came with (`given`, such as
    MS MARCO's triples), the whole corpus at random (`random`), the newest ANN index of the run (`ance`), several of
    these in equal parts (`bm25+random` is DPR's), or the other passages of the batch alone (`in_batch`). `adore`
    searches the index of the checkpoint that begins the stage, at each step, with the query vectors of the moment:
    passage vectors stay as they are, only the queries' encoder learns, and the corpus is not encoded again."""
    loss: LossKind = "pairwise"
    """`pairwise` is the paper's NLL over one positive and one negative; `lambda_rank` weights each pair by what
    swapping it would change in the reciprocal rank, for several negatives a query (ADORE's); `in_batch` adds every
    other passage of the batch as a negative, known positives masked; `hardest_in_batch` is the paper's NLL against the
    one passage of the batch that scores highest (its baseline NCE); `margin_mse` learns the margins of `teacher`
    between a positive and a negative (Margin-MSE)."""
    teacher: TeacherConfig | None = None
    """A cross-encoder that scores what is mined, to denoise it or to be learnt from (None: there is none)."""
    lexical_teacher: LexicalTeacherConfig | None = None
    """Learn from BM25, too, how relevant the passages of the batch are (None: from judgements alone). With `loss:
    in_batch`."""

    @property
    def sources(self) -> tuple[str, ...]:
        """The kinds of negatives, each one of `NegativesKind`: several where they are mixed."""
        return tuple(self.negatives.split("+"))

    @property
    def mines(self) -> bool:
        """Whether it trains on versions of negatives that are mined from each index of the run."""
        return "ance" in self.sources

    @property
    def lists(self) -> bool:
        """Whether some of its negatives are sampled beforehand, rather than at each step from all that there are."""
        return any(kind in LISTS for kind in self.sources)

    @property
    def retrieves(self) -> bool:
        """Whether negatives come from an index of the run, so that checkpoints are encoded with while it trains."""
        return any(kind in RETRIEVED for kind in self.sources)

    @property
    def shares_batch(self) -> bool:
        """Whether the loss takes the other passages of the batch as negatives."""
        return self.loss in get_args(BatchLoss)

    @field_validator("negatives")
    @classmethod
    def _names_sources(cls, negatives: str) -> str:
        kinds, mixable, names = get_args(NegativesKind), get_args(MixableKind), negatives.split("+")
        if negatives not in kinds and not (set(names) <= set(mixable) and len(set(names)) == len(names)):
            raise ValueError(
                f"must be one of {', '.join(kinds)}, or several of {', '.join(mixable)} with + between them, each once"
            )
        return negatives

    @model_validator(mode="after")
    def _learning_rate_is_reached(self) -> Self:
        if 0 < self.steps < self.lr_warmup_steps:
            raise ValueError(
                f"lr_warmup_steps ({self.lr_warmup_steps}) must be at most steps ({self.steps}): the stage would end"
                " before its learning_rate is reached"
            )
        return self

    @model_validator(mode="after")
    def _schedule_ends(self) -> Self:
        if self.lr_decay_steps is None:
            return self
        if self.lr_schedule == "constant":
            raise ValueError("lr_schedule: constant never decays: leave lr_decay_steps out")
        if self.lr_decay_steps < self.steps:
            raise ValueError(
                f"lr_decay_steps ({self.lr_decay_steps}) must be at least steps ({self.steps}): the learning rate would"
                " be 0 for the rest"
            )
        return self

    @model_validator(mode="after")
    def _teacher_is_heard(self) -> Self:
        teacher = self.teacher
        if self.loss == "margin_mse" and teacher is None:
            raise ValueError(
                "loss: margin_mse learns from the scores of a cross-encoder, and there are none:"
                " set teacher: {cross_encoder: ...}"
            )
        if teacher is not None and not self.mines:
            raise ValueError(
                f"teacher scores what is mined from an index of the run, not negatives: {self.negatives}:"
                " set negatives: ance, or leave teacher out"
            )
        if self.loss == "margin_mse" and self.negatives != "ance":
            raise ValueError(
                f"loss: margin_mse learns from negatives that teacher has scored, and of negatives: {self.negatives}"
                " these are ance's alone: set negatives: ance"
            )
        if teacher is not None and self.loss != "margin_mse" and teacher.denoise_margin is None:
            raise ValueError(
                "teacher: nothing would use its scores: set teacher.denoise_margin or loss: margin_mse, or leave it out"
            )
        return self

    @model_validator(mode="after")
    def _lexical_teacher_has_the_batch(self) -> Self:
        if self.lexical_teacher is not None and self.loss != "in_batch":
            raise ValueError(
                f"lexical_teacher scores every passage of the batch, and loss: {self.loss} does not take them all:"
                " set loss: in_batch, or leave lexical_teacher out"
            )
        return self

    @model_validator(mode="after")
    def _pairs_have_a_negative(self) -> Self:
        if self.negatives == "in_batch" and not self.shares_batch:
            raise ValueError(
                f"negatives: in_batch draws none for the loss {self.loss}: use in_batch or hardest_in_batch"
            )
        return self


class BatchConfig(Section):
    """What a training batch consists of."""

    batch_size: PositiveInt = 8
    """Queries a forward pass, those of all processes together: how many train changes no result."""
    gradient_accumulation: PositiveInt = 1
    """Forward passes an optimiser step."""
    negatives_per_query: PositiveInt = 1
    """Hard negatives drawn for a query at each step (the paper draws one)."""
    min_positive_grade: PositiveInt = 1
    """Train on positives of at least this grade. Whatever is judged 1 or higher is never a negative."""
    seed: NonNegativeInt = 42


class TrainingConfig(BatchConfig):
    """How the model learns."""

    warmup: StageConfig
    """Stage 1, usually on BM25 negatives. With 0 steps the run starts from the model as it is."""
    ance: StageConfig
    """Stage 2, usually on ANN negatives."""
    optimizer: OptimiserKind = "lamb"
    weight_decay: NonNegativeFloat = 0.0
    adam_epsilon: PositiveFloat = 1e-8
    cross_device_negatives: bool = True
    """Whether the other passages of the batch, for the losses that use them, are those of all processes, so that the
    loss is that of one process; else each process takes those of its own part alone."""
    max_grad_norm: NonNegativeFloat = 1.0
    """Clip the global gradient norm to this (0: never)."""
    score_scale: PositiveFloat = 1.0
    """Factor on similarities inside the loss (an inverse temperature; 1 as in the paper)."""
    dropout: float | None = Field(default=None, ge=0, lt=1)
    """Dropout probability (None: as the encoder's own configuration says)."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Precision of the forward pass (bfloat16: autocast; weights stay float32)."""
    compile: CompileBackend | None = None
    """Compile the encoder with torch.compile, with `inductor` (None: not). Needs a C++ compiler or, on a GPU, Triton
    in the image. Checkpoints are the same; losses are to rounding, and with dropout its masks are others."""
    gradient_checkpointing: bool = False
    """Compute activations again on the way back instead of keeping them: for batches that would not fit the GPU, at a
    third more time. Changes no result."""
    grad_cache_chunk: PositiveInt | None = None
    """Encode a batch this many texts at a time and keep their vectors only (GradCache, Gao et al. 2021): for in-batch
    negatives from a batch that would not fit the GPU, at a forward pass more (None: off). Loss and gradients are those
    of the whole batch."""
    deterministic: bool = False
    """On a GPU, take only algorithms that give the same bits every time; slower. On a CPU they always do."""
    checkpoint_steps: int | str = 10_000
    """Publish a checkpoint, and so offer the inferencers new weights, every this many steps; or a schedule by steps of
    the run, `0:500,2000:1000`: every 500 until step 2000, every 1000 from there on."""
    refresh: Literal["newest", "static"] = "newest"
    """What the corpus is encoded with once a pass is done: the `newest` checkpoint, again and again, as fast as the
    inferencers allow; or only the one that begins the second stage, whose negatives then stay (`static`, as STAR's),
    and at the end the last one."""
    refresh_from: Literal["start", "ance"] = "ance"
    """Where refreshes begin: with the checkpoint that ends the warm-up, if stage `ance` needs an index; or with the
    model as it starts, whatever the negatives. Until stage `ance` needs negatives a refresh mines none: it measures the
    dev split, so that early stopping and the best version can be had with any negatives, and search serves from the
    beginning."""
    synchronous: bool = False
    """Wait after each checkpoint of the second stage until its negatives are there. For comparison: this is what
    asynchrony saves."""
    max_async_gap: NonNegativeInt = 0
    """Pause while the negatives in use come from a checkpoint more than this many steps old (0: never, as in
    the paper). At least the most steps between two checkpoints, or the trainer would wait for one it has yet to
    reach."""
    early_stopping: EarlyStoppingConfig | None = None
    """When the second stage ends before its last step (None: never). Needs a dev split."""
    gradient_norm_steps: PositiveInt = 1
    """Record gradient norms by layer group every this many steps."""

    @field_validator("checkpoint_steps")
    @classmethod
    def _is_schedule(cls, schedule: int | str) -> int | str:
        CheckpointSchedule.parse(schedule)
        return schedule

    @model_validator(mode="after")
    def _gap_can_be_kept(self) -> Self:
        longest = self.checkpoints.longest(self.warmup.steps, self.total_steps) if self.max_async_gap else 0
        if self.max_async_gap < longest:
            raise ValueError(
                f"max_async_gap ({self.max_async_gap}) must be 0 or at least {longest}, the most steps between two"
                f" checkpoints of the second stage (checkpoint_steps: {self.checkpoint_steps})"
            )
        if self.ance.negatives == "adore" and (self.synchronous or self.max_async_gap):
            raise ValueError("negatives: adore are never old: leave synchronous and max_async_gap out")
        if self.synchronous and self.ance.steps and not self.ance.retrieves:
            raise ValueError(
                f"synchronous waits for the negatives of checkpoints, and ance.negatives: {self.ance.negatives} come"
                " from none: leave it out, or set ance.negatives: ance"
            )
        if self.synchronous and self.max_async_gap:
            raise ValueError("synchronous training waits for every refresh: leave max_async_gap at 0")
        if self.refresh == "static" and (self.synchronous or self.max_async_gap):
            raise ValueError(
                "negatives that are never refreshed grow old: refresh: static goes with neither"
                " synchronous nor max_async_gap"
            )
        return self

    @model_validator(mode="after")
    def _batch_has_negatives(self) -> Self:
        if self.batch_size == 1 and self.needs_batch:
            raise ValueError(
                "batch_size (1) leaves negatives: in_batch none, so that nothing would be learnt: raise it"
            )
        return self

    @model_validator(mode="after")
    def _versions_come(self) -> Self:
        if self.early_stopping is not None and (self.refresh == "static" or not self.refreshes_beside(self.ance)):
            raise ValueError(
                "early_stopping compares versions of the index, and this run makes none while it trains: set"
                " refresh_from: start, and leave refresh at newest"
            )
        return self

    @model_validator(mode="after")
    def _index_exists(self) -> Self:
        if self.warmup.steps and self.warmup.retrieves:
            raise ValueError("warmup.negatives: there is no index before the warm-up has ended: use bm25 or random")
        return self

    @property
    def needs_batch(self) -> bool:
        """Whether a stage has no negatives but the other passages of the batch."""
        return any(stage.steps and stage.negatives == "in_batch" for stage in (self.warmup, self.ance))

    @property
    def checkpoints(self) -> CheckpointSchedule:
        """When checkpoints are published; the last step of a stage has one besides."""
        return CheckpointSchedule.parse(self.checkpoint_steps)

    def in_stage(self, stage: StageConfig) -> Self:
        """These settings with what the stage has of its own."""
        own = {name: getattr(stage, name) for name in OPTIMISER_SETTINGS}
        return self.model_copy(update={name: value for name, value in own.items() if value is not None})

    @property
    def total_steps(self) -> int:
        """Steps of both stages; steps are numbered through."""
        return self.warmup.steps + self.ance.steps

    def refreshes_beside(self, stage: StageConfig) -> bool:
        """Whether the corpus is encoded while this stage trains."""
        return stage.retrieves or self.refresh_from == "start"

    @property
    def first_refresh_step(self) -> int:
        """The first checkpoint that the corpus is encoded with: the warm-up's last, or the run's last where no
        stage trains on ANN negatives, or the first there is."""
        if self.refresh_from == "start":
            return 0
        return self.warmup.steps if self.ance.retrieves else self.total_steps

    def mines_with(self, step: int) -> bool:
        """Whether a refresh with checkpoint `step` mines negatives."""
        return self.ance.mines and step >= self.warmup.steps

    def next_refresh_step(self, published: int) -> int:
        """The first checkpoint that may be encoded with once version `published` is there (-1: none is)."""
        if published < self.first_refresh_step:
            return self.first_refresh_step
        if published < self.warmup.steps:
            return published + 1
        if self.refresh == "static":
            return self.total_steps
        if self.synchronous:  # not one saved on shutdown, which an undisturbed run has not
            return min(self.checkpoints.next_due(published), self.total_steps)
        return published + 1

    def passages_step(self, step: int) -> int:
        """The checkpoint whose passage vectors go with the query vectors of checkpoint `step`."""
        return min(step, self.warmup.steps) if self.ance.negatives == "adore" else step

    def oldest_negatives(self, step: int) -> int:
        """The oldest version of the negatives that the step after `step`, in the second stage, may train on."""
        if self.synchronous:
            return max(self.warmup.steps, self.checkpoints.last_due(step))
        if self.max_async_gap:
            return max(self.warmup.steps, step - self.max_async_gap)
        return self.warmup.steps
