"""What follows pooling."""

from __future__ import annotations

from typing import cast

import torch.nn.functional as F
from torch import Tensor, nn


class ProjectionHead(nn.Module):
    """The head of the original ANCE: LayerNorm(Linear(x)), [B, hidden] -> [B, projection_dim]."""

    def __init__(self, hidden_dim: int, projection_dim: int) -> None:
        super().__init__()
        self.linear = nn.Linear(hidden_dim, projection_dim)
        # torch's default eps, which is also what sentence-transformers' LayerNorm has.
        self.norm = nn.LayerNorm(projection_dim)

    def forward(self, pooled: Tensor) -> Tensor:
        return cast(Tensor, self.norm(self.linear(pooled)))


def to_vectors(pooled: Tensor, head: ProjectionHead | None, normalize: bool) -> Tensor:
    """float32 [B, hidden] -> float32 [B, dim], the head and unit length as asked for."""
    vectors = pooled if head is None else head(pooled).float()
    return F.normalize(vectors, dim=-1) if normalize else vectors
