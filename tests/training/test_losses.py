from typing import get_args

import pytest
import torch
from torch import Tensor

from ance.training.config import BatchLoss, PairLoss
from ance.training.losses import (
    OVER_BATCH,
    OVER_PAIRS,
    distillation,
    hardest_in_batch_nll,
    in_batch_nll,
    lambda_rank,
    listwise_nll,
    margin_mse,
    pairwise_nll,
)

BATCH, NEGATIVES, DIM, SCALE = 3, 2, 4, 1.7


def vectors(*shape: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64, requires_grad=True)


@pytest.fixture
def query() -> Tensor:
    return vectors(BATCH, DIM, seed=1)


@pytest.fixture
def positive() -> Tensor:
    return vectors(BATCH, DIM, seed=2)


@pytest.fixture
def negative() -> Tensor:
    return vectors(BATCH, NEGATIVES, DIM, seed=3)


@pytest.fixture
def no_other_positives() -> Tensor:
    return torch.zeros(BATCH, BATCH * (1 + NEGATIVES), dtype=torch.bool)


def flat(positive: Tensor, negative: Tensor) -> Tensor:
    return torch.cat([positive, negative.flatten(0, 1)])


def test_pairwise_nll_is_the_mean_two_way_softmax_of_the_paper(query, positive, negative):
    expected = []
    for q, d_plus, minus in zip(query, positive, negative, strict=True):
        for d_minus in minus:
            s_plus, s_minus = SCALE * (q @ d_plus), SCALE * (q @ d_minus)
            expected.append(-torch.log(s_plus.exp() / (s_plus.exp() + s_minus.exp())))
    torch.testing.assert_close(pairwise_nll(query, positive, negative, SCALE), torch.stack(expected).mean())


def test_in_batch_nll_is_the_mean_softmax_over_all_unmasked_passages(query, positive, negative, no_other_positives):
    passages, mask = flat(positive, negative), no_other_positives
    mask[0, 1] = mask[2, 5] = True
    expected = []
    for row in range(BATCH):
        scores = (SCALE * (passages @ query[row])).exp()
        expected.append(-torch.log(scores[row] / scores[~mask[row]].sum()))
    torch.testing.assert_close(in_batch_nll(query, passages, mask, SCALE), torch.stack(expected).mean())


def test_a_masked_passage_gets_no_gradient_from_the_query_it_is_masked_for(
    query, positive, negative, no_other_positives
):
    mask = no_other_positives
    mask[:, BATCH] = True
    in_batch_nll(query, flat(positive, negative), mask, SCALE).backward()
    assert torch.equal(negative.grad[0, 0], torch.zeros(DIM, dtype=torch.float64))
    assert negative.grad[0, 1].abs().sum() > 0


def test_gradients_equal_finite_differences(query, positive, negative, no_other_positives):
    mask = no_other_positives
    mask[1, 0] = True
    assert torch.autograd.gradcheck(lambda *args: pairwise_nll(*args, SCALE), (query, positive, negative))
    assert torch.autograd.gradcheck(
        lambda q, passages: in_batch_nll(q, passages, mask, SCALE),
        (query, flat(positive, negative).detach().requires_grad_()),
    )


def test_one_query_with_one_negative_has_the_same_loss_either_way(query, positive, negative):
    one, plus, minus = query[:1], positive[:1], negative[:1, :1]
    mask = torch.zeros(1, 2, dtype=torch.bool)
    torch.testing.assert_close(pairwise_nll(one, plus, minus, SCALE), in_batch_nll(one, flat(plus, minus), mask, SCALE))


def test_large_scores_do_not_overflow():
    query = torch.full((1, 2), 1e3)
    loss = pairwise_nll(query, -query, query[None])
    assert loss.item() == pytest.approx(4e6)


def test_the_hardest_in_batch_is_the_passage_that_scores_highest_and_is_not_masked(
    query, positive, negative, no_other_positives
):
    passages, mask = flat(positive, negative), no_other_positives
    scores = SCALE * (query @ passages.T)
    mask[0, scores[0].detach().index_fill(0, torch.tensor([0]), -torch.inf).argmax()] = True
    expected = []
    for row in range(BATCH):
        others = [j for j in range(len(passages)) if j != row and not mask[row, j]]
        s_plus, s_minus = scores[row, row], max(scores[row, j] for j in others)
        expected.append(-torch.log(s_plus.exp() / (s_plus.exp() + s_minus.exp())))
    torch.testing.assert_close(hardest_in_batch_nll(query, passages, mask, SCALE), torch.stack(expected).mean())


def test_a_query_whose_others_are_all_positives_adds_nothing_to_the_hardest_loss(query, positive):
    mask = ~torch.eye(BATCH, dtype=torch.bool)
    loss = hardest_in_batch_nll(query, positive, mask, SCALE)
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(query.grad, torch.zeros_like(query))


def test_the_hardest_loss_has_the_gradient_of_finite_differences(query, positive, no_other_positives):
    mask = no_other_positives[:, :BATCH]
    assert torch.autograd.gradcheck(lambda q, p: hardest_in_batch_nll(q, p, mask, SCALE), (query, positive))


def test_lambda_rank_weights_each_pair_by_what_swapping_it_changes_in_the_reciprocal_rank():
    # Scores of one query: the positive 2, the negatives 3, 1 and 0, so that the positive is second of four.
    query, positive = torch.tensor([[1.0]]), torch.tensor([[2.0]])
    negative = torch.tensor([[[3.0], [1.0], [0.0]]])
    pairs = [torch.nn.functional.softplus(torch.tensor(SCALE * (score - 2.0))) for score in (3.0, 1.0, 0.0)]
    expected = (1 - 1 / 2) * pairs[0] + (1 / 2 - 1 / 3) * pairs[1] + (1 / 2 - 1 / 4) * pairs[2]
    torch.testing.assert_close(lambda_rank(query, positive, negative, SCALE), expected)
    queries = lambda_rank(query.repeat(2, 1), positive.repeat(2, 1), torch.cat([negative, negative + 7]), SCALE)
    alone = lambda_rank(query, positive, negative + 7, SCALE)
    torch.testing.assert_close(queries, (expected + alone) / 2)


def test_lambda_rank_has_the_gradient_of_finite_differences(query, positive, negative):
    assert torch.autograd.gradcheck(lambda *vectors: lambda_rank(*vectors, SCALE), (query, positive, negative))


def test_listwise_nll_is_the_softmax_of_the_first_of_each_group():
    scores = vectors(BATCH, 1 + NEGATIVES, seed=4)
    expected = torch.stack([-torch.log(row[0].exp() / row.exp().sum()) for row in scores]).mean()
    torch.testing.assert_close(listwise_nll(scores), expected)


@pytest.fixture
def teacher_margins() -> Tensor:
    margins = vectors(BATCH, NEGATIVES, seed=5).detach() * 4
    margins[1, 0] = torch.nan
    return margins


def test_margin_mse_is_the_mean_squared_difference_of_the_two_margins(query, positive, negative, teacher_margins):
    expected = []
    for q, d_plus, minus, margins in zip(query, positive, negative, teacher_margins, strict=True):
        for d_minus, teacher in zip(minus, margins, strict=True):
            margin = SCALE * (q @ d_plus) - SCALE * (q @ d_minus)
            expected.append(torch.zeros_like(margin) if teacher.isnan() else (margin - teacher) ** 2)
    loss = margin_mse(query, positive, negative, teacher_margins, SCALE)
    torch.testing.assert_close(loss, torch.stack(expected).mean())


def test_margin_mse_has_the_gradient_of_finite_differences(query, positive, negative, teacher_margins):
    assert torch.autograd.gradcheck(lambda *v: margin_mse(*v, teacher_margins, SCALE), (query, positive, negative))


def test_a_pair_that_the_teacher_has_not_scored_teaches_nothing(query, positive, negative, teacher_margins):
    margin_mse(query, positive, negative, teacher_margins, SCALE).backward()
    assert torch.equal(negative.grad[1, 0], torch.zeros(DIM, dtype=torch.float64))
    assert (negative.grad.abs().sum(dim=2) > 0).sum() == BATCH * NEGATIVES - 1


def test_the_loss_is_0_where_the_margins_are_the_same():
    margins = torch.tensor([[3.0]], dtype=torch.float32)
    one = torch.ones(1, 2)
    loss = margin_mse(one, one, -0.5 * one[None], margins)  # the margin is (1 + 1) - (-0.5 - 0.5) = 3
    assert loss.dtype == torch.float32 and loss.item() == 0


@pytest.fixture
def teacher_logits() -> Tensor:
    return vectors(BATCH, BATCH * (1 + NEGATIVES), seed=5).detach()


def test_distillation_is_the_mean_divergence_over_the_unmasked_passages(
    query, positive, negative, no_other_positives, teacher_logits
):
    passages, mask = flat(positive, negative), no_other_positives
    mask[1, 0] = mask[1, 4] = True
    expected = []
    for row in range(BATCH):
        columns = [j for j in range(len(passages)) if not mask[row, j]]
        p = torch.stack([(SCALE * query[row] @ passages[j]).exp() for j in columns])
        t = teacher_logits[row, columns].exp()
        p, t = p / p.sum(), t / t.sum()
        expected.append((t * (t / p).log()).sum())
    loss = distillation(query, passages, mask, teacher_logits, SCALE)
    torch.testing.assert_close(loss, torch.stack(expected).mean())


def test_distillation_has_the_gradient_of_finite_differences(
    query, positive, negative, no_other_positives, teacher_logits
):
    mask = no_other_positives
    mask[1, 0] = True
    passages = flat(positive, negative).detach().requires_grad_()
    assert torch.autograd.gradcheck(lambda q, p: distillation(q, p, mask, teacher_logits, SCALE), (query, passages))


def test_nothing_is_left_to_learn_from_a_teacher_that_scores_alike(query, positive, negative, no_other_positives):
    passages = flat(positive, negative)
    loss = distillation(query, passages, no_other_positives, (SCALE * query @ passages.T + 3).detach(), SCALE)
    assert loss.item() == pytest.approx(0, abs=1e-12)


def test_a_configuration_finds_each_loss_by_its_name():
    assert list(OVER_PAIRS) == list(get_args(PairLoss))
    assert list(OVER_BATCH) == list(get_args(BatchLoss))
    assert OVER_PAIRS["lambda_rank"] is lambda_rank and OVER_BATCH["hardest_in_batch"] is hardest_in_batch_nll
