"""Losses on similarities s(q, d) = f(q, d) * scale, f the inner product of the two vectors."""

import torch
import torch.nn.functional as F
from torch import Tensor


def pairwise_nll(query: Tensor, positive: Tensor, negative: Tensor, scale: float = 1.0) -> Tensor:
    """The paper's loss (section 3): negative log likelihood of the positive against one negative at a time.

    l(d+, d-) = -log( e^s(q,d+) / (e^s(q,d+) + e^s(q,d-)) ) = softplus(s(q,d-) - s(q,d+)), mean over pairs.

    Args:
        query: float [B, D].
        positive: float [B, D].
        negative: float [B, N, D].
        scale: factor on the inner products.

    Returns:
        A scalar.
    """
    positive_scores = (query * positive).sum(dim=-1, keepdim=True)  # (B, 1)
    negative_scores = torch.einsum("bd,bnd->bn", query, negative)
    return F.softplus(scale * (negative_scores - positive_scores)).mean()


def in_batch_nll(query: Tensor, passages: Tensor, known_positives: Tensor, scale: float = 1.0) -> Tensor:
    """Negative log likelihood of the positive against every other passage of the batch (DPR, eq 2).

    l_i = -log( e^s(q_i,d_i) / sum over j not masked for i of e^s(q_i,d_j) ), mean over the queries. Masking
    the known positives is what STAR (Zhan et al. 2021) does: another query's passage may answer this one too.

    Args:
        query: float [B, D].
        passages: float [B * (1 + N), D]; passage i < B is the positive of query i.
        known_positives: bool [B, B * (1 + N)], true where a passage must not count as a negative of a query;
            false at (i, i).
        scale: factor on the inner products.

    Returns:
        A scalar.
    """
    scores = (scale * query @ passages.T).masked_fill(known_positives, -torch.inf)
    return F.cross_entropy(scores, torch.arange(len(query), device=query.device))
