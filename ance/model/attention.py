"""Attention over texts of one length, for inference: torch's own, or for bfloat16 on a CPU one that is faster.

torch's fused attention multiplies small blocks there, for which oneDNN is slow, and works out exponentials in float32.
`unshifted` multiplies all heads of a few texts at once and takes the exponentials in bfloat16, without looking for the
highest score first: softmax is the same for scores that are shifted, and bfloat16 has the range of float32. The weights
are as exact as those of any attention whose scores are bfloat16. How much faster: `python -m benchmarks.attention`.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from ance.model.linear import prepacks

Attention = Callable[[Tensor, Tensor, Tensor, Tensor], None]
"""Takes queries [n, heads, q, width], keys and values [n, heads, k, width], and where the result goes: like queries."""

SCORES = 1 << 19
"""Of a few texts at a time, so that they stay in a core's cache."""
LOWEST, HIGHEST = 1e-30, 1e37
"""Between which sums of exponentials are as good as shifted ones: a weight of 1e-8 is still represented."""


def attention_for(device: torch.device, dtype: torch.dtype) -> Attention:
    """The fastest where it is to run."""
    return unshifted if dtype == torch.bfloat16 and prepacks(device, dtype) else fused


def fused(query: Tensor, key: Tensor, value: Tensor, out: Tensor) -> None:
    """See `Attention`."""
    out.copy_(F.scaled_dot_product_attention(query, key, value))


def unshifted(query: Tensor, key: Tensor, value: Tensor, out: Tensor) -> None:
    """See `Attention`. Where sums of exponentials leave the range that is safe, it is `fused`."""
    rows, heads, length, width = query.shape
    keys = key.shape[2]
    step = max(1, SCORES // (heads * length * keys))
    for first in range(0, rows, step):
        part = slice(first, first + step)
        q, k, v = (tensor[part].flatten(0, 1) for tensor in (query, key, value))
        weights = query.new_empty(len(q), length, keys)
        # Powers of 2 are cheaper than those of e.
        weights.baddbmm_(q, k.contiguous().transpose(1, 2), beta=0, alpha=width**-0.5 * math.log2(math.e)).exp2_()
        totals = weights.sum(-1, keepdim=True)
        lowest, highest = totals.aminmax()
        if lowest > LOWEST and highest < HIGHEST:
            sums = torch.bmm(weights, v)
            torch.div(sums.view(-1, heads, length, width), totals.view(-1, heads, length, 1), out=out[part])
        else:
            fused(query[part], key[part], value[part], out[part])
