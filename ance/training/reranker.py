"""Training of a cross-encoder on groups of a query, a positive and negatives: the BERT reranker baseline."""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain
from typing import Literal

import numpy as np
import torch
from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt
from torch import Tensor
from torch.optim import AdamW

from ance.data.dataset import Dataset
from ance.errors import AnceError
from ance.model.cross_encoder import CrossEncoder
from ance.negatives.sources import NegativeSource
from ance.training.batches import TrainingBatch, TrainingBatches
from ance.training.config import BatchConfig
from ance.training.losses import listwise_nll
from ance.training.optimisers import parameter_groups
from ance.training.preparation import prepare_for_training
from ance.training.schedule import linear_warmup_decay

Progress = Callable[[int, float], None]


class RerankerConfig(BatchConfig):
    """How a cross-encoder learns."""

    negatives_per_query: PositiveInt = 7
    """Negatives of a group; they compete with the positive for the query."""
    steps: PositiveInt = 1000
    random_steps: NonNegativeInt = 250
    """First steps, with random negatives: a head that knows nothing yet learns nothing from hard ones."""
    learning_rate: PositiveFloat = 2e-5
    lr_warmup_steps: NonNegativeInt = 100
    """Steps over which the learning rate rises linearly; it then falls linearly to 0."""
    weight_decay: NonNegativeFloat = 0.01
    max_grad_norm: PositiveFloat = 1.0
    """Clip the global gradient norm to this."""
    dropout: float | None = Field(default=None, ge=0, lt=1)
    """Dropout probability (None: as the encoder's own configuration says)."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Precision of the forward pass (bfloat16: autocast; weights stay float32)."""


class RerankerTrainer:
    """Trains a cross-encoder in place on the training split of a data set.

    Args:
        model: is moved to `device`.
        dataset: its texts are tokenised again, as pairs.
        random: gives the groups of the first `config.random_steps` steps their negatives.
        hard: gives those of the others theirs.
        device: where to train.

    Raises:
        AnceError: fewer queries have a positive than a batch needs.
    """

    def __init__(
        self,
        model: CrossEncoder,
        dataset: Dataset,
        random: NegativeSource,
        hard: NegativeSource,
        config: RerankerConfig,
        device: str = "cpu",
    ) -> None:
        self._config = config
        self._queries, self._passages = dataset.queries("train"), dataset.passages
        self._random, self._hard = random, hard
        self._batches = TrainingBatches(dataset.qrels("train"), config)
        self._device = torch.device(device)
        self._model = prepare_for_training(model, config.dropout, self._device)
        groups = parameter_groups(model, config.weight_decay)
        self._optimiser = AdamW(groups, lr=config.learning_rate, fused=True)

    def run(self, progress: Progress | None = None) -> list[float]:
        """Train for `config.steps` steps.

        Args:
            progress: told the number of steps done and the loss, after each.

        Returns:
            The loss of each step.

        Raises:
            AnceError: the loss is not finite.
        """
        self._model.train()
        losses = []
        for step in range(self._config.steps):
            losses.append(self._step(step))
            if progress is not None:
                progress(step + 1, losses[-1])
        self._model.eval()
        return losses

    def _step(self, step: int) -> float:
        config = self._config
        self._optimiser.zero_grad(set_to_none=True)
        batches = self._batches.batch(step, self._random if step < config.random_steps else self._hard)
        loss = 0.0
        for batch in batches:
            value = listwise_nll(self._scores(batch)) / len(batches)
            value.backward()  # type: ignore[no-untyped-call]
            loss += value.item()
        norm = torch.nn.utils.clip_grad_norm_(self._model.parameters(), config.max_grad_norm).item()
        if not np.isfinite([loss, norm]).all():
            raise AnceError(f"reranker, step {step}: loss {loss}, gradient norm {norm}: lower the learning rate")
        for group in self._optimiser.param_groups:
            group["lr"] = config.learning_rate * linear_warmup_decay(step, config.lr_warmup_steps, config.steps)
        self._optimiser.step()
        return loss

    def _scores(self, batch: TrainingBatch) -> Tensor:
        """float32 [B, 1 + N]: each query with its positive, then with its negatives."""
        rows = np.concatenate([batch.positive_rows[:, None], batch.negative_rows], axis=1)
        groups = (
            [(self._queries.full_text(query), self._passages.full_text(row)) for row in passages]
            for query, passages in zip(batch.query_rows.tolist(), rows.tolist(), strict=True)
        )
        pairs = self._model.tokenizer.collate(self._model.tokenizer.encode(list(chain.from_iterable(groups))))
        with torch.autocast(self._device.type, dtype=torch.bfloat16, enabled=self._config.dtype == "bfloat16"):
            scores: Tensor = self._model(pairs.to(self._device))
        return scores.view(rows.shape)
