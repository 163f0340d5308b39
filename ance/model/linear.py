"""Linear layers for inference, with what follows them: an activation, or a residual that is added.

Where a CPU computes in half precision, oneDNN reads weights in an order of its own. From weights in the usual order it
makes such a copy for each product, which for the few tokens of a query takes as long as the product itself.
`PrepackedLinear` makes it once, and has what follows computed before the product leaves the registers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers.activations import GELUActivation

Copy = Callable[[Tensor], Tensor]
Activation = Callable[[Tensor], Tensor]


def unchanged(product: Tensor) -> Tensor:
    """The activation of a layer that has none."""
    return product


def linear(copy: Copy, *layers: nn.Linear, activation: Activation = unchanged) -> Linear:
    """One matrix product for linear layers of the same input, their outputs side by side.

    Args:
        copy: a copy of a parameter on the device and in the precision to compute in.
        activation: applied to the product.
    """
    weight = copy(torch.cat([layer.weight for layer in layers]))
    bias = copy(torch.cat([layer.bias for layer in layers]))
    kind = PrepackedLinear if prepacks(weight.device, weight.dtype) else Linear
    return kind(weight, bias, activation)


def prepacks(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether oneDNN multiplies such weights itself. In float32 an order of its own gains nothing."""
    supported = {torch.bfloat16: "_is_mkldnn_bf16_supported", torch.float16: "_is_mkldnn_fp16_supported"}
    if device.type != "cpu" or dtype not in supported:
        return False
    ask: Callable[[], bool] | None = getattr(torch.ops.mkldnn, supported[dtype], None)  # torch may lack oneDNN
    return ask is not None and ask()


class Linear:
    """Weights as torch keeps them.

    Args:
        weight: [out, in].
        bias: [out].
        activation: applied to the product.
    """

    def __init__(self, weight: Tensor, bias: Tensor, activation: Activation) -> None:
        self._weight, self._bias = weight, bias
        self._activation = _gelu_in_place if _is_gelu(activation) else activation

    def __call__(self, x: Tensor) -> Tensor:
        """The activated product: [T, in] -> [T, out]."""
        return self._activation(F.linear(x, self._weight, self._bias))

    def plus(self, x: Tensor, residual: Tensor) -> Tensor:
        """The product, not activated, and `residual` [T, out]."""
        return F.linear(x, self._weight, self._bias).add_(residual)


class PrepackedLinear(Linear):
    """Weights as oneDNN reads them: where `prepacks` says so."""

    def __init__(self, weight: Tensor, bias: Tensor, activation: Activation) -> None:
        fuses = _is_gelu(activation)
        self._fused: tuple[str, list[float], str] = ("gelu", [], "none") if fuses else ("none", [], "")
        packed = torch.ops.mkldnn._reorder_linear_weight(weight, None)
        super().__init__(packed, bias, unchanged if fuses else activation)

    def __call__(self, x: Tensor) -> Tensor:
        """See `Linear`."""
        product = torch.ops.mkldnn._linear_pointwise(x, self._weight, self._bias, *self._fused)
        return self._activation(cast(Tensor, product))

    def plus(self, x: Tensor, residual: Tensor) -> Tensor:
        """See `Linear`."""
        total = torch.ops.mkldnn._linear_pointwise.binary(x, residual, self._weight, self._bias, "add")
        return cast(Tensor, total)


def _is_gelu(activation: Activation) -> bool:
    """By the error function: approximations are classes of their own."""
    return isinstance(activation, GELUActivation)


def _gelu_in_place(product: Tensor) -> Tensor:
    """A matrix of its own would be new to the process: to map its pages takes as long as to fill it."""
    return cast(Tensor, torch.ops.aten.gelu_(product))
