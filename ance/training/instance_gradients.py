"""What single instances (query, positive, negative) would teach: loss and gradient norm of each, exact and bounded.

The paper's argument (section 3): the best negatives are those with the largest gradient norm (eq 10), and local
negatives have gradients near zero. Exact norms take a backward pass, so they are for samples; `last_layer` has
the bound (eq 11) that training can afford to watch.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from ance.model.batching import collate
from ance.model.bi_encoder import BiEncoder
from ance.negatives.sampling import Rows
from ance.training.gradient_samples import GradientSamples, UnknownLayer
from ance.training.last_layer import last_layer_norms
from ance.training.step import TrainingTexts

CHUNK = 16
"""Instances of one backward pass: a matrix' gradient is held once for each."""


@dataclass(frozen=True, slots=True)
class Instances:
    """Rows of a data set, int64 [n] each: instance i is (query_rows[i], positive_rows[i], negative_rows[i])."""

    query_rows: Rows
    positive_rows: Rows
    negative_rows: Rows

    def __len__(self) -> int:
        return len(self.query_rows)

    def chunks(self, size: int) -> Iterator["Instances"]:
        """The same instances, `size` at a time."""
        for start in range(0, len(self), size):
            part = slice(start, start + size)
            yield Instances(self.query_rows[part], self.positive_rows[part], self.negative_rows[part])


@dataclass(frozen=True, slots=True)
class InstanceGradients:
    """Of n instances.

    Attributes:
        losses: the paper's pairwise loss of each, float32 [n].
        norms: ||grad_theta l_i||_2 over all parameters of the model, float32 [n].
        bounds: ||grad_phi_L l_i||_2, the bound of eq 11 without its constant, float32 [n].
        mean_norm: ||mean of grad_theta l_i||_2, the length of the batch's gradient.
    """

    losses: NDArray[np.float32]
    norms: NDArray[np.float32]
    bounds: NDArray[np.float32]
    mean_norm: float

    @property
    def variance(self) -> float:
        """Tr(V[g]) (eq 9): the variance of the gradient estimate that one instance gives, NaN for fewer than two.

        Unbiased: n / (n - 1) * (mean of ||g_i||^2 - ||mean of g_i||^2).
        """
        n = len(self.norms)
        if n < 2:
            return float("nan")
        mean_square = float(np.square(self.norms, dtype=np.float64).mean())
        return n / (n - 1) * max(0.0, mean_square - self.mean_norm**2)


def instance_gradients(
    model: BiEncoder, texts: TrainingTexts, instances: Instances, scale: float = 1.0
) -> InstanceGradients:
    """Loss, exact gradient norm and bound of every instance, dropout off.

    From one backward pass a chunk where the model consists of known layers (`GradientSamples`), else, and with two
    towers, one instance at a time. The model's gradients are cleared.

    Args:
        model: in float32, on any device.
        texts: what the rows point into.
        instances: at least one.
        scale: factor on the inner products, as the run trains with.
    """
    model.eval()
    model.zero_grad(set_to_none=True)
    try:
        parts = [_vectorised(model, texts, chunk, scale) for chunk in instances.chunks(CHUNK)]
    except UnknownLayer:
        model.zero_grad(set_to_none=True)
        parts = [_alone(model, texts, one, scale) for one in instances.chunks(1)]
    # Gradients of the sum have piled up in the model, chunk by chunk.
    total = torch.linalg.vector_norm(
        torch.stack([weight.grad.norm() for weight in model.parameters() if weight.grad is not None])
    )
    model.zero_grad(set_to_none=True)
    losses, norms, bounds = (torch.cat(columns).cpu().numpy() for columns in zip(*parts, strict=True))
    return InstanceGradients(losses, norms, bounds, float(total) / len(instances))


def _vectorised(model: BiEncoder, texts: TrainingTexts, part: Instances, scale: float) -> tuple[Tensor, Tensor, Tensor]:
    if model.query_tower is not None:
        raise UnknownLayer("a tower of the model reads some of the texts only")
    samples = GradientSamples(model, len(part), 3 * len(part))
    with samples.watching():
        losses, bounds = _forward(model, texts, part, scale)
        losses.sum().backward()  # type: ignore[no-untyped-call]
    return losses.detach(), samples.squared.sqrt(), bounds


def _alone(model: BiEncoder, texts: TrainingTexts, part: Instances, scale: float) -> tuple[Tensor, Tensor, Tensor]:
    losses, bounds = _forward(model, texts, part, scale)
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    gradients = torch.autograd.grad(losses.sum(), weights, allow_unused=True)
    squared = torch.zeros((), device=losses.device)
    for weight, gradient in zip(weights, gradients, strict=True):
        if gradient is not None:
            squared += gradient.square().sum()
            weight.grad = gradient if weight.grad is None else weight.grad + gradient
    return losses.detach(), squared.sqrt().reshape(1), bounds


def _forward(model: BiEncoder, texts: TrainingTexts, part: Instances, scale: float) -> tuple[Tensor, Tensor]:
    """Losses with gradients and bounds, [n] each, from one forward pass over all 3 n texts."""
    query, positive, negative = _encode(model, texts, part).unbind(1)  # (n, dim) each
    losses = F.softplus(scale * (query * (negative - positive)).sum(-1))
    return losses, last_layer_norms(query, positive, negative.unsqueeze(1), scale)[:, 0]


def _encode(model: BiEncoder, texts: TrainingTexts, part: Instances) -> Tensor:
    """Vectors float32 [n, 3, D] of query, positive and negative, from one forward pass unless there are two towers."""
    place = next(model.parameters()).device
    passages = np.stack([part.positive_rows, part.negative_rows], axis=1).ravel()
    query_ids, query_mask = collate(texts.queries, part.query_rows, texts.special, texts.max_query_tokens)
    ids, mask = collate(texts.passages, passages, texts.special, texts.max_passage_tokens)
    if model.query_tower is not None:
        of_queries = model.queries(query_ids.to(place), query_mask.to(place)).unsqueeze(1)
        return torch.cat([of_queries, model(ids.to(place), mask.to(place)).view(len(part), 2, -1)], 1)
    width, n = max(query_ids.shape[1], ids.shape[1]), len(part)
    padded = [F.pad(query_ids, (0, width - query_ids.shape[1]), value=texts.special.pad_id).unsqueeze(1)]
    padded.append(F.pad(ids, (0, width - ids.shape[1]), value=texts.special.pad_id).view(n, 2, width))
    masks = [F.pad(query_mask, (0, width - query_mask.shape[1])).unsqueeze(1)]
    masks.append(F.pad(mask, (0, width - mask.shape[1])).view(n, 2, width))
    vectors: Tensor = model(torch.cat(padded, 1).flatten(0, 1).to(place), torch.cat(masks, 1).flatten(0, 1).to(place))
    return vectors.view(n, 3, -1)
