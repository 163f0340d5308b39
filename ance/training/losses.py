"""Losses on similarities s(q, d) = f(q, d) * scale, f the inner product of the two vectors."""

from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from ance.training.config import LossKind
from ance.training.maxp import similarities


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


def lambda_rank(query: Tensor, positive: Tensor, negative: Tensor, scale: float = 1.0) -> Tensor:
    """The loss of pairs, each weighted by what swapping the two would change in the reciprocal rank (LambdaRank).

    ADORE's loss (Zhan et al. 2021, after Burges 2010), with w(d+, d-) = |1/r(d+) - 1/r(d-)|: the sum of
    w * l(d+, d-) over the negatives, mean over the queries. Ranks r are those among the positive and the negatives, and
    carry no gradient.

    Args:
        query: float [B, D].
        positive: float [B, D].
        negative: float [B, N, D].
        scale: factor on the inner products inside l.

    Returns:
        A scalar.
    """
    positive_scores = (query * positive).sum(dim=-1, keepdim=True)  # (B, 1)
    negative_scores = torch.einsum("bd,bnd->bn", query, negative)
    scores = torch.cat([positive_scores, negative_scores], dim=1).detach()
    ranks = 1 + scores.argsort(dim=1, descending=True, stable=True).argsort(dim=1)  # (B, 1 + N)
    weights = (1 / ranks[:, :1] - 1 / ranks[:, 1:]).abs()
    return (weights * F.softplus(scale * (negative_scores - positive_scores))).sum(dim=1).mean()


def margin_mse(
    query: Tensor, positive: Tensor, negative: Tensor, teacher_margins: Tensor, scale: float = 1.0
) -> Tensor:
    """Squared difference between this model's margins and a cross-encoder's (Margin-MSE, Hofstätter et al. 2020).

    l(d+, d-) = ((s(q,d+) - s(q,d-)) - (t(q,d+) - t(q,d-)))^2, t the cross-encoder's score: only the margin is learnt,
    so the two may score in different ranges. Mean over all pairs; a pair that the cross-encoder has not scored adds 0.

    Args:
        query: float [B, D].
        positive: float [B, D].
        negative: float [B, N, D].
        teacher_margins: t(q,d+) - t(q,d-), float [B, N], NaN where it is not known.
        scale: factor on the inner products; of unit vectors, a margin can be no larger than twice this.

    Returns:
        A scalar.
    """
    positive_scores = (query * positive).sum(dim=-1, keepdim=True)  # (B, 1)
    negative_scores = torch.einsum("bd,bnd->bn", query, negative)
    margins = scale * (positive_scores - negative_scores)
    known = ~teacher_margins.isnan()
    # Where nothing is known the target is the margin itself, which gives neither loss nor gradient.
    targets = torch.where(known, teacher_margins, margins.detach())
    return F.mse_loss(margins, targets.to(margins.dtype))


def in_batch_nll(
    query: Tensor, passages: Tensor, known_positives: Tensor, scale: float = 1.0, first_positive: int = 0
) -> Tensor:
    """Negative log likelihood of the positive against every other passage of the batch (DPR, eq 2).

    l_i = -log( e^s(q_i,d_i) / sum over j not masked for i of e^s(q_i,d_j) ), mean over the queries. Masking
    the known positives is what STAR (Zhan et al. 2021) does: another query's passage may answer this one too.

    Args:
        query: float [B, D].
        passages: float [P, D], or [P, M, D] with several vectors each (MaxP); passage `first_positive + i` is the
            positive of query i.
        known_positives: bool [B, P], true where a passage must not count as a negative of a query; false for its
            own positive.
        scale: factor on the inner products.
        first_positive: more than 0 where the passages of other processes come before this one's.

    Returns:
        A scalar.
    """
    scores = (scale * similarities(query, passages)).masked_fill(known_positives, -torch.inf)
    return F.cross_entropy(scores, first_positive + torch.arange(len(query), device=query.device))


def hardest_in_batch_nll(
    query: Tensor, passages: Tensor, known_positives: Tensor, scale: float = 1.0, first_positive: int = 0
) -> Tensor:
    """Negative log likelihood of the positive against the hardest other passage of the batch.

    The paper's baseline NCE (section 5): l_i = softplus(max over j of s(q_i,d_j) - s(q_i,d_i)), j neither i nor
    masked for i, mean over the queries.

    Args:
        query: float [B, D].
        passages: float [P, D] or [P, M, D], as in `in_batch_nll`.
        known_positives: as in `in_batch_nll`.
        scale: factor on the inner products.
        first_positive: as in `in_batch_nll`.

    Returns:
        A scalar. A query whose every other passage is masked adds 0.
    """
    scores = scale * similarities(query, passages)  # (batch, passages)
    rows = torch.arange(len(query), device=query.device)
    own = rows, first_positive + rows
    others = known_positives.clone()
    others[own] = True
    hardest = scores.masked_fill(others, -torch.inf).amax(dim=1)
    return F.softplus(hardest - scores[own]).mean()


def distillation(
    query: Tensor, passages: Tensor, known_positives: Tensor, teacher_logits: Tensor, scale: float = 1.0
) -> Tensor:
    """Divergence of this model's distribution over the passages of the batch from a teacher's (Hinton et al. 2015).

    KL(t_i || p_i) = sum over j of t_ij * log(t_ij / p_ij), with p_i the softmax of s(q_i,d_j) and t_i that of the
    teacher's logits, both over the j that are not masked for i; mean over the queries.

    Args:
        query: float [B, D].
        passages: float [P, D] or [P, M, D], as in `in_batch_nll`.
        known_positives: as in `in_batch_nll`.
        teacher_logits: float [B, P].
        scale: factor on the inner products.

    Returns:
        A scalar.
    """
    scores = scale * similarities(query, passages)
    # Not infinite: what is masked would add 0 * infinity.
    nothing = torch.finfo(scores.dtype).min
    ours = scores.masked_fill(known_positives, nothing).log_softmax(dim=1)
    teacher = teacher_logits.to(scores.dtype).masked_fill(known_positives, nothing).log_softmax(dim=1)
    return F.kl_div(ours, teacher, reduction="batchmean", log_target=True)


OVER_PAIRS: Mapping[LossKind, Callable[[Tensor, Tensor, Tensor, float], Tensor]] = {
    "pairwise": pairwise_nll,
    "lambda_rank": lambda_rank,
}
"""Losses of a query's own positive and negatives, by their names in a run's configuration."""
OVER_BATCH: Mapping[LossKind, Callable[[Tensor, Tensor, Tensor, float, int], Tensor]] = {
    "in_batch": in_batch_nll,
    "hardest_in_batch": hardest_in_batch_nll,
}
"""Losses of a query and all passages of the batch, by their names in a run's configuration."""


def listwise_nll(scores: Tensor) -> Tensor:
    """Negative log likelihood of the first of each group (Gao et al., ECIR 2021, eq 5).

    Args:
        scores: float [B, 1 + N], of a query's positive and then of its negatives.

    Returns:
        A scalar, the mean over the groups.
    """
    return F.cross_entropy(scores, torch.zeros(len(scores), dtype=torch.long, device=scores.device))
