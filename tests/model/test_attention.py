"""Attention without a shift: the same weights as torch's, whatever the scores."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from ance.model import attention as module
from ance.model.attention import attention_for, fused, unshifted

HEADS, WIDTH = 3, 8


def tensors(rows: int, queries: int, keys: int, scale: float = 1.0) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Queries, keys, values and room for the result, in memory as linear layers leave them: heads side by side."""
    generator = torch.Generator().manual_seed(rows * 1000 + keys)
    flat = (torch.randn(rows, length, HEADS, WIDTH, generator=generator) for length in (queries, keys, keys))
    q, k, v = (tensor.bfloat16().transpose(1, 2) for tensor in flat)
    return q * scale, k, v, torch.full_like(q, torch.nan)


def in_float32(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """softmax(q k^T / sqrt(width)) v, written down."""
    scores = query.float() @ key.float().transpose(2, 3) / WIDTH**0.5
    return scores.softmax(-1) @ value.float()


@pytest.mark.parametrize("attend", [fused, unshifted])
@pytest.mark.parametrize(("rows", "queries", "keys"), [(1, 1, 1), (1, 37, 37), (5, 16, 16), (7, 1, 24)])
def test_it_is_attention(attend: module.Attention, rows: int, queries: int, keys: int) -> None:
    q, k, v, out = tensors(rows, queries, keys)
    attend(q, k, v, out)
    torch.testing.assert_close(out.float(), in_float32(q, k, v), rtol=0.02, atol=0.02)


def test_many_texts_are_taken_a_few_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    q, k, v, out = tensors(7, 16, 16)
    unshifted(q, k, v, out)
    few = torch.full_like(out, torch.nan)
    monkeypatch.setattr(module, "SCORES", 2 * HEADS * 16 * 16)
    unshifted(q, k, v, few)
    torch.testing.assert_close(few, out, rtol=0.01, atol=0.01)


@pytest.mark.parametrize("shift", [100.0, -100.0, 1000.0])
def test_scores_whose_exponentials_cannot_be_represented(shift: float) -> None:
    """All scores of a text are moved by the same amount, which softmax does not see."""
    q, k, v, out = tensors(4, 16, 16)
    q, k = q.clone(), k.clone()
    q[1, :, :, 0], k[1, :, :, 0] = shift * WIDTH**0.5 / 8, 8.0
    unshifted(q, k, v, out)
    expected = torch.empty_like(out)
    fused(q, k, v, expected)
    torch.testing.assert_close(out[1], expected[1], rtol=0, atol=0)
    torch.testing.assert_close(out.float(), in_float32(q, k, v), rtol=0.02, atol=0.02)


def test_float32_and_gpus_keep_torchs_own() -> None:
    assert attention_for(torch.device("cpu"), torch.float32) is fused
    assert attention_for(torch.device("cuda"), torch.bfloat16) is fused
