"""The same training step by others: a plain torch loop, and the trainer of sentence-transformers."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.optim import AdamW
from transformers import AutoModel, AutoTokenizer, PrinterCallback, TrainerCallback

from ance.model.config import ModelConfig
from ance.training.config import TrainingConfig

Texts = dict[str, list[str]]
"""`anchor`, `positive` and `negative`: one text of each for every query of a batch."""

LEARNING_RATE = 1e-5


class PlainLoop:
    """What a user writes on torch and transformers alone: tokenise, pad, encode, in-batch loss, AdamW."""

    def __init__(self, folder: Path, model: ModelConfig, training: TrainingConfig) -> None:
        self._model = AutoModel.from_pretrained(str(folder)).train()
        without_dropout(self._model)
        self._tokenizer = AutoTokenizer.from_pretrained(str(folder))
        self._optimiser = AdamW(self._model.parameters(), lr=LEARNING_RATE, weight_decay=training.weight_decay)
        self._settings, self._training = model, training

    def step(self, texts: Texts) -> float:
        """One optimiser step; its loss."""
        self._optimiser.zero_grad()
        enabled = self._training.dtype == "bfloat16"
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            query = self._encode(texts["anchor"], self._settings.max_query_tokens)
            passages = torch.cat(
                [self._encode(texts[kind], self._settings.max_passage_tokens) for kind in ("positive", "negative")]
            )
        scores = self._training.score_scale * query @ passages.T
        loss = F.cross_entropy(scores, torch.arange(len(query)))
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self._model.parameters(), self._training.max_grad_norm)
        self._optimiser.step()
        return loss.item()

    def _encode(self, texts: list[str], longest: int) -> Tensor:
        batch = self._tokenizer(texts, padding=True, truncation=True, max_length=longest, return_tensors="pt")
        hidden = self._model(**batch).last_hidden_state.float()
        mask = batch["attention_mask"].unsqueeze(-1).float()
        return F.normalize((hidden * mask).sum(1) / mask.sum(1), dim=-1)


class Between(TrainerCallback):
    """Times each step of a trainer, and does something else between two of them."""

    def __init__(self, others: Callable[[int], None]) -> None:
        """`others` is called with the number of the step that has just ended."""
        self.seconds: list[float] = []
        self._others = others
        self._resumed = 0.0

    def on_train_begin(self, *_: Any, **__: Any) -> None:
        """The first step begins."""
        self._resumed = time.perf_counter()

    def on_step_end(self, *_: Any, **__: Any) -> None:
        """A step has ended, with the next one's texts still to be tokenised."""
        self.seconds.append(time.perf_counter() - self._resumed)
        self._others(len(self.seconds) - 1)
        self._resumed = time.perf_counter()


def train_with_sentence_transformers(
    folder: Path, training: TrainingConfig, batches: Sequence[Texts], between: Between, scratch: Path
) -> list[float]:
    """Train on the batches in their order, with the equivalent loss; the loss of each step.

    MultipleNegativesRankingLoss over (anchor, positive, negative) is the in-batch loss with one hard negative a query;
    what it lacks is the mask of known positives.
    """
    from datasets import Dataset
    from sentence_transformers import (
        SentenceTransformer,
        SentenceTransformerTrainer,
        SentenceTransformerTrainingArguments,
    )
    from sentence_transformers.base.sampler import DefaultBatchSampler
    from sentence_transformers.losses import MultipleNegativesRankingLoss
    from sentence_transformers.util import dot_score

    class InOrder(DefaultBatchSampler):  # type: ignore[misc]
        """Consecutive rows, not shuffled."""

        def __iter__(self) -> Any:
            for first in range(0, len(self.sampler), self.batch_size):
                yield list(range(first, first + self.batch_size))

    model = SentenceTransformer(str(folder), device="cpu")
    without_dropout(model)
    losses: list[float] = []
    objective = MultipleNegativesRankingLoss(model, scale=training.score_scale, similarity_fct=dot_score)
    objective.register_forward_hook(lambda module, inputs, loss: losses.append(loss.item()))
    trainer = SentenceTransformerTrainer(
        model,
        SentenceTransformerTrainingArguments(
            str(scratch),
            per_device_train_batch_size=training.batch_size,
            max_steps=len(batches),
            learning_rate=LEARNING_RATE,
            weight_decay=training.weight_decay,
            adam_epsilon=training.adam_epsilon,
            max_grad_norm=training.max_grad_norm,
            lr_scheduler_type="constant",
            bf16=training.dtype == "bfloat16",
            use_cpu=True,
            batch_sampler=InOrder,
            save_strategy="no",
            report_to=[],
            disable_tqdm=True,
            logging_strategy="no",
            dataloader_pin_memory=False,
        ),
        train_dataset=Dataset.from_dict(
            {kind: [text for batch in batches for text in batch[kind]] for kind in ("anchor", "positive", "negative")}
        ),
        loss=objective,
        callbacks=[between],
    )
    trainer.remove_callback(PrinterCallback)  # standard output is for our result
    trainer.train()
    return losses


def without_dropout(model: torch.nn.Module) -> None:
    """As the demo trains."""
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
