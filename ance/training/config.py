"""Settings of training."""

from typing import Literal, Self

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from ance.config import Section

NegativesKind = Literal["bm25", "random", "bm25+random", "in_batch", "ance"]
LossKind = Literal["pairwise", "in_batch", "hardest_in_batch"]


class StageConfig(Section):
    """One stage of training: a fresh optimiser and one linear warm-up and decay of the learning rate."""

    steps: NonNegativeInt
    """Optimiser steps of the stage."""
    learning_rate: PositiveFloat
    lr_warmup_steps: NonNegativeInt = 0
    """Steps over which the learning rate rises linearly from 0; it then falls linearly to 0 at the end."""
    negatives: NegativesKind
    """Where hard negatives come from: BM25's top passages, the whole corpus at random, half of either (DPR), the
    other passages of the batch alone, or the newest ANN index of the run."""
    loss: LossKind = "pairwise"
    """`pairwise` is the paper's NLL over one positive and one negative; `in_batch` adds every other passage of
    the batch as a negative, known positives masked; `hardest_in_batch` is the paper's NLL against the one
    passage of the batch that scores highest (its baseline NCE)."""

    @model_validator(mode="after")
    def _pairs_have_a_negative(self) -> Self:
        if self.negatives == "in_batch" and self.loss == "pairwise":
            raise ValueError("negatives: in_batch draws none for the loss pairwise: use in_batch or hardest_in_batch")
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
    optimizer: Literal["adamw", "lamb"] = "lamb"
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
    gradient_checkpointing: bool = False
    """Compute activations again on the way back instead of keeping them: for batches that would not fit the GPU, at a
    third more time. Changes no result."""
    deterministic: bool = False
    """On a GPU, take only algorithms that give the same bits every time; slower. On a CPU they always do."""
    checkpoint_steps: PositiveInt = 10_000
    """Publish a checkpoint, and so offer the inferencers new weights, every this many steps."""
    max_async_gap: NonNegativeInt = 0
    """Pause while the negatives in use come from a checkpoint more than this many steps old (0: never, as in
    the paper). At least `checkpoint_steps`, or the trainer would wait for a checkpoint it has yet to reach."""
    gradient_norm_steps: PositiveInt = 1
    """Record gradient norms by layer group every this many steps."""

    @model_validator(mode="after")
    def _gap_can_be_kept(self) -> Self:
        if 0 < self.max_async_gap < self.checkpoint_steps:
            raise ValueError(
                f"max_async_gap ({self.max_async_gap}) must be 0 or at least checkpoint_steps ({self.checkpoint_steps})"
            )
        return self

    @property
    def total_steps(self) -> int:
        """Steps of both stages; steps are numbered through."""
        return self.warmup.steps + self.ance.steps

    @property
    def first_refresh_step(self) -> int:
        """The first checkpoint that the corpus is encoded with: the warm-up's last, or the run's last where no
        stage trains on ANN negatives."""
        return self.warmup.steps if self.ance.negatives == "ance" else self.total_steps
