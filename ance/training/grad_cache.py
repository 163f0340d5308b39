"""Batches larger than memory, whose loss still sees every passage at once (GradCache, Gao et al. 2021).

The loss of a whole batch needs all its vectors, but not the activations that they came from. So the texts are encoded
in chunks of which only the vectors are kept; the loss gives the gradient of each vector; and on the way back every
chunk is encoded once more, this time to hand its vectors' gradients on to the weights (their section 3). The memory is
that of one chunk and of all vectors; the time is that of one forward pass more.

That is activation checkpointing with a chunk as the segment, so torch does it: it draws the same dropout in both
passes, and goes backward through one chunk after the other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

import numpy as np
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from ance.negatives.sampling import Rows

Forward = Callable[[Tensor, Tensor], Tensor]
"""Token ids and attention mask, int64 [B, L] -> vectors, float32 [B, D]."""


def chunks(groups: Sequence[Rows], size: int | None) -> list[Rows]:
    """Groups of texts, each cut into parts of at most `size` (None: not cut), in their order."""
    if size is None:
        return list(groups)
    return [part for group in groups for part in np.split(group, range(size, len(group), size))]


def forgetting(forward: Forward) -> Forward:
    """A forward pass that keeps its result alone, and is made again on the way back. Same result, same gradients."""

    def encode(input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        # Not the reentrant kind: it needs an input with a gradient, and token ids have none.
        return cast(Tensor, checkpoint(forward, input_ids, attention_mask, use_reentrant=False))

    return encode
