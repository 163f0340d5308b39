"""Gradient norms by layer group: the quantity that ANCE's convergence argument is about."""

from collections.abc import Mapping, Sequence

import torch
from torch import nn

GLOBAL = "global"


def gradient_norms(layer_groups: Mapping[str, Sequence[nn.Parameter]]) -> dict[str, float]:
    """Euclidean norm of the gradient of each group, and of all groups together under "global".

    To be called after the backward pass and before clipping: figure 4 of the paper plots these, and its bound
    (eq 11) says that hard negatives keep them large. Parameters without a gradient count as 0. Costs one
    synchronisation with the device.

    Args:
        layer_groups: disjoint groups of parameters by name.
    """
    norms = [_norm(parameters) for parameters in layer_groups.values()]
    device = next((norm.device for norm in norms if norm is not None), torch.device("cpu"))
    groups = torch.stack([norm if norm is not None else torch.zeros((), device=device) for norm in norms])
    values = torch.cat([groups, torch.linalg.vector_norm(groups).reshape(1)]).tolist()
    return dict(zip([*layer_groups, GLOBAL], values, strict=True))


def _norm(parameters: Sequence[nn.Parameter]) -> torch.Tensor | None:
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    if not gradients:
        return None
    norm: torch.Tensor = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))
    return norm
