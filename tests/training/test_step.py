from typing import get_args

import numpy as np
import pytest
import torch

from ance.errors import AnceError
from ance.model.batching import collate
from ance.model.layer_groups import layer_groups
from ance.negatives.pair_scores import PairScores, pairs_of
from ance.negatives.sources import NoNegatives
from ance.training.config import LossKind
from ance.training.losses import hardest_in_batch_nll, in_batch_nll, lambda_rank, margin_mse, pairwise_nll
from ance.training.optimisers import build_optimiser
from ance.training.step import NonFiniteLoss, TrainingStep
from tests.training.conftest import PASSAGES, QUERIES


@pytest.fixture
def model(new_model):
    """Without dropout, so that a test can compute the same loss again, and with texts far enough apart for that."""
    model = new_model()
    with torch.no_grad():
        for weight in model.parameters():
            if weight.dim() > 1:
                weight.mul_(10)
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    model.backbone.config.attention_probs_dropout_prob = 0.0
    return model


@pytest.fixture
def trained(model, texts, configured):
    """Makes a step on `model` with some settings changed."""

    def make(**changes):
        config = configured(**changes)
        return TrainingStep(model, build_optimiser(model, config, 1e-3), texts, config)

    return make


def encode(model, texts, tokens, rows, max_tokens):
    return model(*collate(tokens, rows, texts.special, max_tokens))


def loss_by_hand(model, texts, batch, kind, scale=1.0):
    """Every text encoded for itself, with no batch to be padded to."""
    query, positive = (
        torch.cat([encode(model, texts, tokens, rows[i : i + 1], longest) for i in range(len(rows))])
        for tokens, rows, longest in (
            (texts.queries, batch.query_rows, texts.max_query_tokens),
            (texts.passages, batch.positive_rows, texts.max_passage_tokens),
        )
    )
    flat = batch.negative_rows.ravel()
    negative = torch.cat(
        [encode(model, texts, texts.passages, flat[i : i + 1], texts.max_passage_tokens) for i in range(len(flat))]
    )
    over_batch = {"in_batch": in_batch_nll, "hardest_in_batch": hardest_in_batch_nll}
    if kind in over_batch:
        known = torch.from_numpy(batch.known_positives)
        return over_batch[kind](query, torch.cat([positive, negative]), known, scale)
    negative = negative.view(*batch.negative_rows.shape, -1)
    if kind == "margin_mse":
        return margin_mse(query, positive, negative, torch.from_numpy(batch.teacher_margins), scale)
    over_negatives = {"pairwise": pairwise_nll, "lambda_rank": lambda_rank}
    return over_negatives[kind](query, positive, negative, scale)


def teacher():
    """A score for every pair."""
    pairs = pairs_of(np.arange(QUERIES), np.tile(np.arange(PASSAGES), (QUERIES, 1))).ravel()
    return PairScores(pairs, np.random.default_rng(3).standard_normal(len(pairs)).astype(np.float32))


@pytest.mark.parametrize("kind", sorted(set(get_args(LossKind))))
def test_the_loss_and_its_gradients_are_means_over_the_micro_batches(model, texts, trained, stream, negatives, kind):
    batches = stream.batch(0, negatives, teacher() if kind == "margin_mse" else None)
    expected = torch.stack([loss_by_hand(model, texts, batch, kind, 0.5) for batch in batches]).mean()
    gradients = torch.autograd.grad(expected, list(model.parameters()))
    result = trained(score_scale=0.5, max_grad_norm=0).run(0, batches, loss=kind, learning_rate=0.0)
    assert result.loss == pytest.approx(expected.item(), rel=1e-5)
    for parameter, gradient in zip(model.parameters(), gradients, strict=True):
        torch.testing.assert_close(parameter.grad, gradient, rtol=1e-4, atol=1e-5)


def test_norms_are_measured_before_clipping_and_the_clipped_gradient_has_the_configured_norm(
    model, trained, stream, negatives
):
    batches = stream.batch(0, negatives)
    unclipped = trained(max_grad_norm=0).run(0, batches, loss="pairwise", learning_rate=0.0)
    limit = unclipped.gradient_norms["global"] / 3
    clipped = trained(max_grad_norm=limit).run(0, batches, loss="pairwise", learning_rate=0.0)
    assert clipped.gradient_norms == unclipped.gradient_norms
    assert set(clipped.gradient_norms) == {"embeddings", "bottom", "middle", "top", "head", "global"}
    total = torch.cat([weight.grad.flatten() for weight in model.parameters()]).norm()
    assert total.item() == pytest.approx(limit, rel=1e-5)


def test_a_gradient_below_the_limit_is_not_scaled_up(model, trained, stream, negatives):
    step = trained(max_grad_norm=1e6)
    norms = step.run(0, stream.batch(0, negatives), loss="pairwise", learning_rate=0.0).gradient_norms
    total = torch.cat([weight.grad.flatten() for weight in model.parameters()]).norm()
    assert total.item() == pytest.approx(norms["global"], rel=1e-5)


def test_the_given_learning_rate_is_used(model, trained, stream, negatives):
    before = [weight.detach().clone() for weight in model.parameters()]
    step = trained()
    step.run(0, stream.batch(0, negatives), loss="pairwise", learning_rate=0.0)
    assert all(torch.equal(one, old) for one, old in zip(model.parameters(), before, strict=True))
    result = step.run(1, stream.batch(1, negatives), loss="pairwise", learning_rate=1e-2)
    assert result.learning_rate == 1e-2
    assert not any(torch.equal(one, old) for one, old in zip(model.parameters(), before, strict=True))


def test_tokens_are_counted_without_padding(texts, trained, stream, negatives):
    batches = stream.batch(0, negatives)
    expected = 0
    for batch in batches:
        passages = np.concatenate([batch.positive_rows, batch.negative_rows.ravel()])
        expected += np.minimum(texts.queries.lengths[batch.query_rows] + 2, 6).sum()
        expected += np.minimum(texts.passages.lengths[passages] + 2, 32).sum()
    result = trained().run(0, batches, loss="in_batch", learning_rate=1e-3)
    assert result.tokens == expected
    assert result.seconds > 0


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("kind", ["pairwise", "in_batch"])
def test_repeating_a_batch_lowers_its_loss(trained, stream, negatives, dtype, kind):
    step = trained(dtype=dtype, optimizer="adamw")
    batches = stream.batch(0, negatives)
    losses = [step.run(n, batches, loss=kind, learning_rate=3e-3).loss for n in range(20)]
    assert losses[-1] < 0.7 * losses[0]


def test_bfloat16_keeps_weights_and_gradients_in_float32(model, trained, stream, negatives):
    trained(dtype="bfloat16").run(0, stream.batch(0, negatives), loss="pairwise", learning_rate=1e-3)
    assert {weight.dtype for weight in model.parameters()} == {torch.float32}
    assert {weight.grad.dtype for weight in model.parameters()} == {torch.float32}


def test_a_loss_that_is_not_finite_stops_before_anything_is_updated(model, trained, stream, negatives):
    step = trained()
    with torch.no_grad():
        layer_groups(model)["head"][0][0, 0] = torch.nan
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    with pytest.raises(NonFiniteLoss, match=r"step 17: the loss is nan.*lower learning_rate"):
        step.run(17, stream.batch(0, negatives), loss="pairwise", learning_rate=1e-3)
    for name, weight in model.state_dict().items():
        torch.testing.assert_close(weight, before[name], rtol=0, atol=0, equal_nan=True)
    assert all(weight.grad is None for weight in model.parameters())


def test_a_gradient_that_is_not_finite_names_its_layer_group(model, trained, stream, negatives):
    step = trained()
    embeddings = layer_groups(model)["embeddings"][0]
    embeddings.register_hook(lambda gradient: gradient * torch.inf)
    with pytest.raises(NonFiniteLoss, match=r"not finite in: embeddings, global"):
        step.run(0, stream.batch(0, negatives), loss="pairwise", learning_rate=1e-3)


@pytest.mark.parametrize("kind", ["in_batch", "hardest_in_batch"])
def test_a_batch_can_do_without_hard_negatives(trained, stream, kind):
    result = trained().run(0, stream.batch(0, NoNegatives()), loss=kind, learning_rate=1e-3)
    assert 0 < result.loss < 10
    assert result.gradient_norms["global"] > 0


def test_a_step_learns_the_teachers_margins(trained, stream, negatives):
    step = trained(optimizer="adamw", score_scale=0.1)
    batches = stream.batch(0, negatives, teacher())
    losses = [step.run(n, batches, loss="margin_mse", learning_rate=3e-3).loss for n in range(40)]
    assert losses[-1] < 0.3 * losses[0]
    with pytest.raises(AnceError, match="come without the scores of a teacher"):
        step.run(40, stream.batch(0, negatives), loss="margin_mse", learning_rate=3e-3)
