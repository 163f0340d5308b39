"""One optimiser step: encode, loss, backward, exchange, measure, clip, update."""

from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.optim import Optimizer

from ance.data.dataset import Dataset
from ance.data.ragged import Ragged
from ance.data.tokenizer import SpecialTokens
from ance.errors import AnceError
from ance.model.batching import collate, text_lengths
from ance.model.bi_encoder import BiEncoder
from ance.model.chunks import FIRST_P, Chunking
from ance.model.config import ModelConfig
from ance.model.layer_groups import layer_groups
from ance.negatives.sampling import Rows
from ance.training.batches import TrainingBatch
from ance.training.config import LossKind, TrainingConfig
from ance.training.data_parallel import ALONE, DataParallel
from ance.training.fixed_passages import FixedPassages
from ance.training.grad_cache import chunks, forgetting
from ance.training.gradient_norms import GLOBAL, gradient_norms
from ance.training.last_layer import in_batch_last_layer_norms, last_layer_norms
from ance.training.length_groups import length_groups
from ance.training.lexical_teacher import LexicalTeacher
from ance.training.losses import OVER_BATCH, OVER_PAIRS, distillation, margin_mse
from ance.training.maxp import nearest, side_by_side

# Padding, in tokens, that a forward pass more must save. On a CPU it costs new shapes, in bfloat16 more than in float32
# since oneDNN orders the weights anew for each product; elsewhere, launching the kernels of a layer takes longer than a
# short batch.
_LEAST_SAVING = {("cpu", "float32"): 64, ("cpu", "bfloat16"): 1024}
_LEAST_SAVING_ELSEWHERE = 16_384
# Lengths are rounded up to this, so that few shapes occur: on a CPU, oneDNN compiles a kernel for each.
_LENGTH_MULTIPLE = 8
# Keeps these random numbers apart from those of the batches, which have the same seed.
_DROPOUT = 2


class NonFiniteLoss(AnceError):
    """The loss or a gradient is infinite or not a number. The step left the weights as they were."""


@dataclass(frozen=True, slots=True)
class TrainingTexts:
    """The tokenised texts that the rows of a batch point into."""

    queries: Ragged
    passages: Ragged
    special: SpecialTokens
    max_query_tokens: int
    max_passage_tokens: int
    chunking: Chunking = FIRST_P

    @classmethod
    def of(cls, dataset: Dataset, config: ModelConfig) -> Self:
        """Those of a data set's training split, as a model takes them."""
        return cls(
            queries=dataset.queries("train").tokens,
            passages=dataset.passages.tokens,
            special=dataset.special,
            max_query_tokens=config.max_query_tokens,
            max_passage_tokens=config.max_passage_tokens,
            chunking=Chunking.of(config, dataset.special),
        )


@dataclass(frozen=True, slots=True)
class StepResult:
    """What one optimiser step did.

    Attributes:
        loss: mean over the micro batches.
        gradient_norms: by layer group and "global", before clipping.
        learning_rate: the step was made with this.
        tokens: tokens encoded, padding excluded.
        seconds: wall time.
        instance_bounds: the last layer's gradient norm of single instances (`last_layer`), of the drawn negatives
            ("drawn") and of one other passage of the batch a query ("in_batch"); empty on steps that are not
            recorded (training.gradient_norm_steps). Where several processes train, those of this one's queries;
            all else is the same on each.
    """

    loss: float
    gradient_norms: dict[str, float]
    learning_rate: float
    tokens: int
    seconds: float
    instance_bounds: dict[str, list[float]]


class TrainingStep:
    """Runs optimiser steps on a model.

    A step is a pure function of weights, optimiser state, batches, `config.seed` and its number: dropout too.
    """

    def __init__(
        self,
        model: BiEncoder,
        optimiser: Optimizer,
        texts: TrainingTexts,
        config: TrainingConfig,
        parallel: DataParallel = ALONE,
        fixed_passages: FixedPassages | None = None,
        lexical_teacher: LexicalTeacher | None = None,
    ) -> None:
        """The model is trained where it is: on its own device, in place, from the same weights on each process.

        Passages are encoded with it, or have the vectors of `fixed_passages`, which no gradient reaches. What
        `lexical_teacher` says of them is learnt beside any loss that takes the passages of the batch.

        Raises:
            AnceError: the processes cannot share a batch equally, or a part of it would have no negatives.
        """
        if config.batch_size % parallel.size:
            raise AnceError(
                f"training.batch_size ({config.batch_size}) is the batch of all processes together, and {parallel.size}"
                " cannot share it equally: make it a multiple, or change the number of processes"
            )
        if config.batch_size == parallel.size > 1 and config.needs_batch and not config.cross_device_negatives:
            raise AnceError(
                f"training.batch_size ({config.batch_size}) is one query for each of {parallel.size} processes, which"
                " leaves negatives: in_batch none: raise it, or set training.cross_device_negatives: true"
            )
        self._model = model
        self._optimiser = optimiser
        self._texts = texts
        self._config = config
        self._parallel = parallel
        self._fixed_passages = fixed_passages
        self._lexical_teacher = lexical_teacher
        self._groups = layer_groups(model)
        self._weights = [weight for group in self._groups.values() for weight in group]
        self._device = next(model.parameters()).device

    def run(
        self,
        step: int,
        batches: Sequence[TrainingBatch],
        *,
        loss: LossKind,
        learning_rate: float,
    ) -> StepResult:
        """Make optimiser step number `step` on the mean loss of its micro batches, whole on every process.

        Raises:
            NonFiniteLoss: before anything is updated, on all processes.
            PeerLost: before anything is updated.
        """
        started = perf_counter()
        torch.manual_seed(self._dropout_seed(step))
        self._model.train()
        self._optimiser.zero_grad(set_to_none=True)
        sums = torch.zeros(2, device=self._device)  # loss, tokens
        recorded = (step + 1) % self._config.gradient_norm_steps == 0
        bounds: dict[str, list[float]] = {"drawn": [], "in_batch": []} if recorded else {}
        for batch in batches:
            part = batch.part(self._parallel.rank, self._parallel.size, shared=self._config.cross_device_negatives)
            query, passages, encoded = self._vectors(part)
            value = self._loss(part, query, passages, loss)
            (value / len(batches)).backward()  # type: ignore[no-untyped-call]
            sums += torch.stack([value.detach() / len(batches), value.new_full((), encoded)])
            for negatives in bounds:
                bounds[negatives] += self._bounds(negatives, part, query, passages)
        total, tokens = self._parallel.average_gradients(self._weights, sums).tolist()
        mean = total / self._parallel.size
        norms = gradient_norms(self._groups)
        self._require_finite(step, mean, norms)
        self._clip(norms[GLOBAL])
        for group in self._optimiser.param_groups:
            group["lr"] = learning_rate
        self._optimiser.step()
        return StepResult(mean, norms, learning_rate, int(tokens), perf_counter() - started, bounds)

    @torch.no_grad()
    def query_vectors(self, rows: Rows) -> NDArray[np.float32]:
        """Vectors of training queries (int64 [n]) with the weights of the moment, no dropout: float32 [n, D]."""
        self._model.eval()
        queries, longest = self._texts.queries, self._texts.max_query_tokens
        vectors, _ = self._encode(self._model.queries, queries, rows, longest)
        return vectors.cpu().numpy()

    def _vectors(self, batch: TrainingBatch) -> tuple[Tensor, Tensor, int]:
        """Of one micro batch: queries [B, D], positives followed by negatives [B * (1 + N), D], tokens encoded.

        Passages in chunks are [B * (1 + N), M, D].
        """
        texts = self._texts
        own_rows = np.concatenate([batch.positive_rows, batch.negative_rows.ravel()])
        query, query_tokens = self._encode(self._model.queries, texts.queries, batch.query_rows, texts.max_query_tokens)
        passages, passage_tokens = self._encode_passages(own_rows)
        return query, passages, query_tokens + passage_tokens

    def _encode_passages(self, rows: Rows) -> tuple[Tensor, int]:
        if self._fixed_passages is not None:
            return torch.from_numpy(self._fixed_passages.vectors(rows)).to(self._device), 0
        texts, chunking = self._texts, self._texts.chunking
        if chunking.most == 1:
            return self._encode(self._model, texts.passages, rows, texts.max_passage_tokens)
        passages = texts.passages.take(rows)
        parts = chunking.split(passages)
        vectors, tokens = self._encode(self._model, parts, np.arange(len(parts)), texts.max_passage_tokens)
        return side_by_side(vectors, chunking.counts(passages), chunking.most), tokens

    def _loss(self, batch: TrainingBatch, query: Tensor, passages: Tensor, kind: LossKind) -> Tensor:
        scale = self._config.score_scale
        if kind == "margin_mse":
            if batch.teacher_margins is None:
                raise AnceError("loss margin_mse: these negatives come without the scores of a teacher")
            margins = torch.from_numpy(batch.teacher_margins).to(self._device)
            return margin_mse(query, *_own(query, passages, batch), margins, scale)
        if kind in OVER_PAIRS:
            return OVER_PAIRS[kind](query, *_own(query, passages, batch), scale)
        mask = torch.from_numpy(batch.known_positives).to(self._device)
        if mask.shape[1] > len(passages):
            passages = self._shared(passages, len(query))
        loss = OVER_BATCH[kind](query, passages, mask, scale, batch.first_positive)
        if (teacher := self._lexical_teacher) is None:
            return loss
        logits = torch.from_numpy(teacher.logits(batch)).to(self._device)
        return loss + teacher.weight * distillation(query, passages, mask, logits, scale)

    def _shared(self, passages: Tensor, positives: int) -> Tensor:
        """The passages of all parts, the positives first, from those of this one: [B * (1 + N), ..., D]."""
        parts = self._parallel.gather(passages)  # (processes, positives * (1 + negatives), ..., dim)
        return torch.cat([parts[:, :positives].flatten(0, 1), parts[:, positives:].flatten(0, 1)])

    def _bounds(self, negatives: str, batch: TrainingBatch, query: Tensor, passages: Tensor) -> list[float]:
        """Gradient norms of the micro batch's instances at the last layer, under the paper's loss."""
        size, scale = len(query), self._config.score_scale
        if negatives == "in_batch":
            known = batch.known_positives[:, batch.first_positive : batch.first_positive + size]
            mask = torch.from_numpy(known).to(self._device)
            norms = in_batch_last_layer_norms(query, passages[:size], mask, scale)
        else:
            norms = last_layer_norms(query, *_own(query, passages, batch), scale)
        values: list[float] = norms.flatten().tolist()
        return values

    def _encode(self, tower: BiEncoder, tokens: Ragged, rows: Rows, max_tokens: int) -> tuple[Tensor, int]:
        """Vectors float32 [len(rows), D], with gradients, and the number of tokens."""
        special, on = self._texts.special, self._device
        lengths = text_lengths(tokens, rows, special, max_tokens)
        config = self._config
        groups = length_groups(lengths, _LEAST_SAVING.get((on.type, config.dtype), _LEAST_SAVING_ELSEWHERE))
        groups = chunks(groups, config.grad_cache_chunk)
        padded = (collate(tokens, rows[group], special, max_tokens, _LENGTH_MULTIPLE) for group in groups)
        batches = [(input_ids.to(on), attention_mask.to(on)) for input_ids, attention_mask in padded]
        with torch.autocast(on.type, dtype=torch.bfloat16, enabled=config.dtype == "bfloat16"):
            vectors = self._forward(tower, batches)
        given_order = torch.from_numpy(np.argsort(np.concatenate(groups))).to(on)
        return vectors[given_order], int(lengths.sum())

    def _forward(self, tower: BiEncoder, batches: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
        if self._config.grad_cache_chunk is not None:
            return torch.cat([forgetting(tower)(*batch) for batch in batches])
        if self._config.compile is not None:  # it warns of inputs that have a gradient on their way to elsewhere
            return torch.cat([tower(*batch) for batch in batches])
        return tower.encode_groups(batches)

    def _dropout_seed(self, step: int) -> int:
        """Of this step on this process: two processes with the same masks would be worth less than two."""
        entropy = [self._config.seed, _DROPOUT, step, self._parallel.rank]
        return int(np.random.SeedSequence(entropy).generate_state(1, np.uint64)[0]) >> 1  # below 2^63

    def _require_finite(self, step: int, loss: float, norms: dict[str, float]) -> None:
        if np.isfinite([loss, norms[GLOBAL]]).all():
            return
        self._optimiser.zero_grad(set_to_none=True)
        groups = ", ".join(name for name, norm in norms.items() if not np.isfinite(norm))
        raise NonFiniteLoss(
            f"step {step}: the loss is {loss} and the gradient is not finite in: {groups or 'no layer'}."
            " The weights are unchanged. Resume from the last checkpoint with a lower learning_rate, more"
            " lr_warmup_steps, a smaller training.score_scale or training.dtype: float32"
        )

    def _clip(self, global_norm: float) -> None:
        """Scale all gradients down to the configured global norm."""
        limit = self._config.max_grad_norm
        if limit and global_norm > limit:
            gradients = [weight.grad for weight in self._weights if weight.grad is not None]
            torch._foreach_mul_(gradients, limit / global_norm)


def _own(query: Tensor, passages: Tensor, batch: TrainingBatch) -> tuple[Tensor, Tensor]:
    """The positive [B, D] and the negatives [B, N, D] of each query; of a passage in chunks the one nearest to it."""
    size = len(query)
    positive, negative = passages[:size], passages[size:].view(*batch.negative_rows.shape, *passages.shape[1:])
    if passages.ndim == 2:
        return positive, negative
    return nearest(query, positive.unsqueeze(1)).squeeze(1), nearest(query, negative)
