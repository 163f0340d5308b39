"""The part of the paper's gradient bound (eq 11) that can be computed at every step: the last layer's gradient.

Katharopoulos and Fleuret (2018): ||grad_theta l(d+, d-)|| <= L * rho * ||grad_phi_L l(d+, d-)||, with L layers, rho
from the weights and activations of the network, and phi_L the output of the last one. Here phi_L is the vectors of
the three texts, so its gradient has a closed form. With s = scale * <q, d> and w = scale * sigmoid(s- - s+),

    grad_q l = w (d- - d+),  grad_d+ l = -w q,  grad_d- l = w q,
    ||grad_phi_L l||^2 = w^2 (||d- - d+||^2 + 2 ||q||^2).

A negative that is far below the positive has w near 0: no layer learns from it (eq 12).
"""

import torch
from torch import Tensor

from ance.training.maxp import nearest


def last_layer_norms(query: Tensor, positive: Tensor, negative: Tensor, scale: float = 1.0) -> Tensor:
    """||grad_phi_L l|| of the paper's pairwise loss, for each negative of each query.

    Args:
        query: float [B, D].
        positive: float [B, D].
        negative: float [B, N, D].
        scale: factor on the inner products.

    Returns:
        float32 [B, N], without gradients.
    """
    query, positive, negative = (vectors.detach().float() for vectors in (query, positive, negative))
    difference = negative - positive.unsqueeze(1)  # (batch, negatives, dim)
    margin = torch.einsum("bd,bnd->bn", query, difference)
    weight = scale * torch.sigmoid(scale * margin)
    return weight * (difference.square().sum(-1) + 2 * query.square().sum(-1, keepdim=True)).sqrt()


def in_batch_last_layer_norms(query: Tensor, positive: Tensor, known_positives: Tensor, scale: float = 1.0) -> Tensor:
    """The same with the next query's positive as the negative: what an in-batch negative would have taught.

    One in-batch negative a query, so that both kinds have equally many instances.

    Args:
        query: float [B, D].
        positive: float [B, D], or [B, M, D] with several vectors each (MaxP).
        known_positives: bool [B, at least B], true at (i, j) where positive j must not be a negative of query i.
        scale: factor on the inner products.

    Returns:
        float32 [at most B]: queries whose next positive is their own are left out.
    """
    rows = torch.arange(len(query), device=query.device)
    following = rows.roll(-1)
    usable = (following != rows) & ~known_positives[rows, following]
    negative = positive[following].unsqueeze(1)
    if positive.ndim == 3:
        positive, negative = nearest(query, positive.unsqueeze(1)).squeeze(1), nearest(query, negative)
    return last_layer_norms(query, positive, negative, scale)[usable, 0]
