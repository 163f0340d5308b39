"""AdamW and LAMB."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer

from ance.training.config import TrainingConfig


def build_optimiser(model: nn.Module, config: TrainingConfig, learning_rate: float) -> Optimizer:
    """The configured optimiser over all trainable parameters of a model; for a stage, of `config.in_stage`.

    It knows its parameters by name, so that its state can be saved by name.
    """
    groups = parameter_groups(model, config.weight_decay)
    if config.optimizer == "lamb":
        return Lamb(groups, lr=learning_rate, eps=config.adam_epsilon)
    return AdamW(groups, lr=learning_rate, eps=config.adam_epsilon, fused=True)


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """A model's trainable parameters by name, as an optimiser takes them.

    Weight decay is for matrices only: biases and normalisation weights are one-dimensional.
    """
    trainable = [(name, value) for name, value in model.named_parameters() if value.requires_grad]
    groups = [
        {"params": [pair for pair in trainable if pair[1].ndim > 1], "weight_decay": weight_decay},
        {"params": [pair for pair in trainable if pair[1].ndim <= 1], "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]


class Lamb(Optimizer):
    """LAMB (You et al. 2020, algorithm 2) as the original ANCE uses it: no bias correction.

    For each tensor w with gradient g, element-wise except for the norms:
        m = b1 m + (1 - b1) g;  v = b2 v + (1 - b2) g^2;  u = m / (sqrt(v) + eps) + weight_decay w
        w = w - lr * trust * u,  trust = min(|w|, 10) / |u|, or 1 where either norm is 0.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-6,
        weight_decay: float = 0.0,
    ) -> None:
        """Take what `torch.optim.AdamW` takes."""
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Update all parameters that have a gradient. No synchronisation with the device."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            weights = [weight for weight in group["params"] if weight.grad is not None]
            if weights:
                self._update(weights, group)
        return loss

    def _update(self, weights: list[Tensor], group: dict[str, Any]) -> None:
        gradients = [weight.grad for weight in weights if weight.grad is not None]
        for weight in weights:
            if not self.state[weight]:
                self.state[weight] = {
                    "exp_avg": torch.zeros_like(weight),
                    "exp_avg_sq": torch.zeros_like(weight),
                }
        means = [self.state[weight]["exp_avg"] for weight in weights]
        squares = [self.state[weight]["exp_avg_sq"] for weight in weights]
        first, second = group["betas"]
        # One by one, launching the kernels of so many small tensors would cost more than the work.
        torch._foreach_lerp_(means, gradients, 1 - first)
        torch._foreach_mul_(squares, second)
        torch._foreach_addcmul_(squares, gradients, gradients, 1 - second)
        roots = torch._foreach_sqrt(squares)
        torch._foreach_add_(roots, group["eps"])
        updates = list(torch._foreach_div(means, roots))
        if group["weight_decay"]:
            torch._foreach_add_(updates, weights, alpha=group["weight_decay"])
        trust = _trust_ratios(weights, updates)
        torch._foreach_mul_(updates, list((group["lr"] * trust).unbind()))
        torch._foreach_sub_(weights, updates)


def _trust_ratios(weights: list[Tensor], updates: list[Tensor]) -> Tensor:
    """One ratio a tensor, float [len(weights)]."""
    weight_norms = torch.stack(torch._foreach_norm(weights)).clamp(max=10.0)
    update_norms = torch.stack(torch._foreach_norm(updates))
    defined = (weight_norms > 0) & (update_norms > 0)
    return torch.where(defined, weight_norms / update_norms, torch.ones_like(weight_norms))
