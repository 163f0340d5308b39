"""Prepacked weights against torch's own product, in float32."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from transformers.activations import ACT2FN

from ance.model.linear import Linear, PrepackedLinear, linear, prepacks, unchanged

CPU = torch.device("cpu")
HALVES = [torch.bfloat16, torch.float16]


def _copy(dtype: torch.dtype) -> Callable[[Tensor], Tensor]:
    return lambda weights: weights.detach().to(dtype, copy=True)


def _require(dtype: torch.dtype) -> None:
    if not prepacks(CPU, dtype):
        pytest.skip(f"this CPU does not multiply {dtype} with oneDNN")


@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("rows", [1, 16, 17, 300])
@pytest.mark.parametrize("activation", [None, "gelu", "gelu_new", "relu"])
def test_product_and_activation(dtype: torch.dtype, rows: int, activation: str | None) -> None:
    _require(dtype)
    layers, x = [nn.Linear(64, 48), nn.Linear(64, 32)], torch.randn(rows, 64).to(dtype)
    after = unchanged if activation is None else ACT2FN[activation]
    packed = linear(_copy(dtype), *layers, activation=after)
    assert type(packed) is PrepackedLinear
    rounded = [layer.to(dtype).float() for layer in layers]
    expected = after(torch.cat([layer(x.float()) for layer in rounded], dim=1))
    torch.testing.assert_close(packed(x).float(), expected, atol=0.02, rtol=0.02)


@pytest.mark.parametrize("dtype", HALVES)
def test_the_residual_is_added_and_stays_as_it_was(dtype: torch.dtype) -> None:
    _require(dtype)
    layer, x, residual = nn.Linear(64, 32), torch.randn(5, 64).to(dtype), torch.randn(5, 32).to(dtype)
    before = residual.clone()
    total = linear(_copy(dtype), layer).plus(x, residual)
    expected = layer.to(dtype).float()(x.float()) + before.float()
    torch.testing.assert_close(total.float(), expected, atol=0.02, rtol=0.02)
    assert torch.equal(residual, before)


def test_single_precision_stays_as_torch_has_it() -> None:
    layer, x, residual = nn.Linear(64, 32), torch.randn(5, 64), torch.randn(5, 32)
    plain = linear(_copy(torch.float32), layer)
    assert type(plain) is Linear and not prepacks(CPU, torch.float32)
    torch.testing.assert_close(plain.plus(x, residual), layer(x) + residual)


def test_other_devices_stay_as_torch_has_them() -> None:
    assert not prepacks(torch.device("meta"), torch.bfloat16)
