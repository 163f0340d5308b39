"""Similarities of passages with several vectors (MaxP): a passage is as similar to a query as its best chunk.

Tensors of such passages are [P, M, D]; one with fewer than M chunks repeats its last, which no maximum sees.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def side_by_side(vectors: Tensor, counts: NDArray[np.int64], most: int) -> Tensor:
    """The chunks of each passage in a row of their own.

    Args:
        vectors: float [chunks, D], passage by passage.
        counts: int64 [P], chunks of each passage, 1 to `most`.
        most: M.

    Returns:
        float [P, M, D].
    """
    firsts = np.cumsum(counts) - counts
    slots = firsts[:, None] + np.minimum(np.arange(most), counts[:, None] - 1)
    return vectors[torch.from_numpy(slots).to(vectors.device)]


def similarities(query: Tensor, passages: Tensor) -> Tensor:
    """Inner product of each query with each passage: float [B, D] and [P, D] or [P, M, D] -> [B, P]."""
    if passages.ndim == 2:
        return query @ passages.T
    return torch.einsum("bd,pmd->bpm", query, passages).amax(-1)


def nearest(query: Tensor, passages: Tensor) -> Tensor:
    """The vector of each passage that is most similar to its query.

    Args:
        query: float [B, D].
        passages: float [B, N, M, D], N for each query.

    Returns:
        float [B, N, D]. The gradient is that of the maximum: it goes to these vectors alone.
    """
    best = torch.einsum("bd,bnmd->bnm", query, passages).argmax(-1)
    return passages.take_along_dim(best[..., None, None], dim=2).squeeze(2)
