"""Training of the queries' side alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from ance.model.batching import collate
from ance.training.fixed_passages import FixedPassages
from ance.training.losses import in_batch_nll, pairwise_nll
from ance.training.optimisers import build_optimiser
from ance.training.query_tower import train_queries_only
from ance.training.step import TrainingStep
from tests.training.conftest import PASSAGES
from tests.training.test_data_parallel import World


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A step whose passages have random vectors, whatever the model would make of them."""
    world = World(tmp_path, loss="in_batch", optimizer="adamw", max_grad_norm=0)
    train_queries_only(world.model)
    world.optimiser = build_optimiser(world.model, world.config, 3e-3)
    world.step = TrainingStep(world.model, world.optimiser, world.texts, world.config, fixed_passages=fixed())
    return world


def fixed() -> FixedPassages:
    vectors = np.random.default_rng(3).standard_normal((PASSAGES, 8), np.float32)
    return FixedPassages([vectors[:17], vectors[17:]])


def encoded(world: World, rows: np.ndarray) -> Tensor:
    texts = world.texts
    return world.model.queries(*collate(texts.queries, rows, texts.special, texts.max_query_tokens))


def test_passages_are_encoded_as_before_and_queries_learn(world: World) -> None:
    passages = collate(world.texts.passages, np.arange(4), world.texts.special, 32)
    before = world.model.eval()(*passages).detach(), encoded(world, np.arange(4)).detach()
    assert torch.equal(before[1], world.model(*collate(world.texts.queries, np.arange(4), world.texts.special, 6)))
    losses = [world.run(0).loss for _ in range(8)]
    world.model.eval()
    assert torch.equal(world.model(*passages), before[0])
    assert not torch.allclose(encoded(world, np.arange(4)), before[1], atol=1e-2)
    assert losses[-1] < 0.9 * losses[0]


@pytest.mark.parametrize("loss", ["in_batch", "pairwise"])
def test_the_loss_is_that_of_the_fixed_vectors_and_only_the_queries_side_has_a_gradient(
    world: World, loss: str
) -> None:
    (batch, *_) = batches = world.batches.batch(0, world.negatives)[:1]
    vectors = fixed()
    query, positive = encoded(world, batch.query_rows), torch.from_numpy(vectors.vectors(batch.positive_rows))
    negative = torch.from_numpy(vectors.vectors(batch.negative_rows.ravel()))
    if loss == "pairwise":
        expected = pairwise_nll(query, positive, negative.view(*batch.negative_rows.shape, -1))
    else:
        expected = in_batch_nll(query, torch.cat([positive, negative]), torch.from_numpy(batch.known_positives))
    world.loss = loss
    result = world.run(0, batches)
    assert result.loss == pytest.approx(expected.item(), rel=1e-5)
    assert result.tokens == np.minimum(world.texts.queries.lengths[batch.query_rows] + 2, 6).sum()
    assert {name for name, norm in result.gradient_norms.items() if norm > 0 and "." in name} == {
        f"query.{group}" for group in ("embeddings", "bottom", "middle", "top", "head")
    }


def test_vectors_for_retrieval_are_those_of_the_moment_without_dropout(tmp_path: Path) -> None:
    world = World(tmp_path, dropout=0.5)
    rows = np.array([5, 0, 5])
    vectors = world.step.query_vectors(rows)
    assert (vectors == world.step.query_vectors(rows)).all() and (vectors[0] == vectors[2]).all()
    np.testing.assert_allclose(vectors, encoded(world, rows).detach().numpy(), atol=1e-5)
    world.run(0)
    assert not np.allclose(vectors, world.step.query_vectors(rows), atol=1e-3)


def test_nothing_of_the_passages_side_is_left_for_an_optimiser(world: World) -> None:
    trained = {name for group in world.optimiser.param_groups for name in group["param_names"]}
    assert trained == {name for name, _ in world.model.named_parameters() if name.startswith("query_tower.")}


def test_a_model_that_has_a_tower_for_queries_keeps_it(tmp_path: Path) -> None:
    model = World(tmp_path).model
    train_queries_only(model)
    tower = model.query_tower
    train_queries_only(model)
    assert model.query_tower is tower
