from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from ance.model.batching import collate
from ance.model.bi_encoder import BiEncoder
from ance.training.instance_gradients import InstanceGradients, Instances, instance_gradients
from ance.training.step import TrainingTexts

SCALE = 3.0
INSTANCES = Instances(np.arange(10), np.arange(10), np.arange(10)[::-1] + 20)


@pytest.fixture
def model(new_model: Callable[[], BiEncoder]) -> BiEncoder:
    """With weights large enough that texts have different vectors, as those of a trained encoder do."""
    model = new_model().eval()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weights in model.parameters():
            weights.add_(0.3 * torch.randn(weights.shape, generator=generator))
    return model


def one_at_a_time(model: BiEncoder, texts: TrainingTexts, instances: Instances) -> tuple[list[float], list[float]]:
    """Losses and gradient norms by nothing but autograd, every text in a batch of its own."""
    losses, norms = [], []

    def encode(tokens, row: int, longest: int) -> torch.Tensor:
        return model(*collate(tokens, np.array([row]), texts.special, longest))[0]

    for query_row, positive_row, negative_row in zip(
        instances.query_rows, instances.positive_rows, instances.negative_rows, strict=True
    ):
        model.zero_grad()
        query = encode(texts.queries, query_row, texts.max_query_tokens)
        positive = encode(texts.passages, positive_row, texts.max_passage_tokens)
        negative = encode(texts.passages, negative_row, texts.max_passage_tokens)
        loss = F.softplus(SCALE * (query @ negative - query @ positive))
        loss.backward()
        gradients = [weight.grad.flatten() for weight in model.parameters() if weight.grad is not None]
        losses.append(loss.item())
        norms.append(float(torch.cat(gradients).norm()))
    return losses, norms


@pytest.mark.parametrize("extra", [False, True], ids=["known layers", "a layer of another kind"])
def test_norms_agree_with_autograd_one_instance_at_a_time(model: BiEncoder, texts: TrainingTexts, extra: bool) -> None:
    if extra:
        model.head.register_parameter("unknown", nn.Parameter(torch.ones(1)))
    found = instance_gradients(model, texts, INSTANCES, SCALE)
    losses, norms = one_at_a_time(model, texts, INSTANCES)
    np.testing.assert_allclose(found.norms, norms, rtol=1e-4)
    np.testing.assert_allclose(found.losses, losses, rtol=1e-4)


def test_more_instances_than_a_chunk_give_the_gradient_of_their_mean(model: BiEncoder, texts: TrainingTexts) -> None:
    rows = np.arange(40) % 16
    found = instance_gradients(model, texts, Instances(rows, rows, rows + 20), SCALE)
    one_round = instance_gradients(model, texts, Instances(rows[:16], rows[:16], rows[:16] + 20), SCALE)
    assert len(found.norms) == 40
    np.testing.assert_allclose(found.norms[:16], one_round.norms, rtol=1e-4)

    losses, gradients = [], []
    for row in range(16):
        model.zero_grad()
        vectors = [
            model(*collate(texts.queries, np.array([row]), texts.special, texts.max_query_tokens))[0],
            model(*collate(texts.passages, np.array([row]), texts.special, texts.max_passage_tokens))[0],
            model(*collate(texts.passages, np.array([row + 20]), texts.special, texts.max_passage_tokens))[0],
        ]
        loss = F.softplus(SCALE * (vectors[0] @ vectors[2] - vectors[0] @ vectors[1]))
        loss.backward()
        losses.append(loss.item())
        gradients.append(torch.cat([weight.grad.flatten() for weight in model.parameters() if weight.grad is not None]))
    mean = torch.stack(gradients).mean(0)
    variance = sum(float((gradient - mean).square().sum()) for gradient in gradients) / 15
    assert one_round.mean_norm == pytest.approx(float(mean.norm()), rel=1e-4)
    assert one_round.variance == pytest.approx(variance, rel=1e-3)


def test_the_bound_is_the_gradient_of_the_vectors(model: BiEncoder, texts: TrainingTexts) -> None:
    found = instance_gradients(model, texts, INSTANCES, SCALE)
    for row in range(len(INSTANCES)):
        triple = (
            (texts.queries, INSTANCES.query_rows[row], texts.max_query_tokens),
            (texts.passages, INSTANCES.positive_rows[row], texts.max_passage_tokens),
            (texts.passages, INSTANCES.negative_rows[row], texts.max_passage_tokens),
        )
        vectors = [
            model(*collate(tokens, np.array([at]), texts.special, longest)).detach().requires_grad_()
            for tokens, at, longest in triple
        ]
        query, positive, negative = vectors
        F.softplus(SCALE * (query * (negative - positive)).sum()).backward()
        expected = torch.cat([vector.grad.flatten() for vector in vectors]).norm()
        assert found.bounds[row] == pytest.approx(float(expected), rel=1e-4)


def test_the_bound_ranks_instances_as_their_gradients_do(model: BiEncoder, texts: TrainingTexts) -> None:
    rng = np.random.default_rng(3)
    draw = Instances(rng.integers(0, 16, 200), rng.integers(0, 20, 200), rng.integers(20, 40, 200))
    found = instance_gradients(model, texts, draw, SCALE)

    def ranks(values: np.ndarray) -> np.ndarray:
        return values.argsort().argsort()

    assert np.corrcoef(ranks(found.bounds), ranks(found.norms))[0, 1] > 0.8


def test_the_model_is_left_without_gradients_and_hooks(model: BiEncoder, texts: TrainingTexts) -> None:
    instance_gradients(model, texts, INSTANCES, SCALE)
    assert all(weight.grad is None for weight in model.parameters())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_one_instance_has_no_variance() -> None:
    one = np.ones(1, np.float32)
    assert np.isnan(InstanceGradients(one, one, one, 1.0).variance)
