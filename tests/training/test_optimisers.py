import math

import pytest
import torch
from torch import Tensor, nn

from ance.training.config import StageConfig, TrainingConfig
from ance.training.optimisers import Lamb, build_optimiser


class Encoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.dense = nn.Linear(3, 4)
        self.norm = nn.LayerNorm(4)
        self.frozen = nn.Parameter(torch.ones(2, 2), requires_grad=False)


def config(**changes: object) -> TrainingConfig:
    stage = StageConfig(steps=1, learning_rate=0.1, negatives="random")
    return TrainingConfig(warmup=stage, ance=stage, **changes)


def lamb_by_hand(weight: Tensor, gradients: list[Tensor], lr: float, eps: float, decay: float) -> Tensor:
    """Algorithm 2 of the paper without bias correction, one number at a time."""
    values = weight.flatten().tolist()
    mean, square = [0.0] * len(values), [0.0] * len(values)
    for gradient in gradients:
        update = []
        for i, g in enumerate(gradient.flatten().tolist()):
            mean[i] = 0.9 * mean[i] + 0.1 * g
            square[i] = 0.999 * square[i] + 0.001 * g * g
            update.append(mean[i] / (math.sqrt(square[i]) + eps) + decay * values[i])
        weight_norm = min(10.0, math.sqrt(sum(v * v for v in values)))
        update_norm = math.sqrt(sum(u * u for u in update))
        trust = weight_norm / update_norm if weight_norm and update_norm else 1.0
        values = [v - lr * trust * u for v, u in zip(values, update, strict=True)]
    return torch.tensor(values, dtype=weight.dtype).view_as(weight)


@pytest.mark.parametrize("size", [0.5, 100.0], ids=["small weights", "weights above the norm's limit"])
def test_lamb_follows_its_formula_over_several_steps(size):
    torch.manual_seed(0)
    start = [torch.randn(3, 2, dtype=torch.float64) * size, torch.randn(4, dtype=torch.float64) * size]
    gradients = [[torch.randn_like(weight) for weight in start] for _ in range(4)]
    weights = [nn.Parameter(weight.clone()) for weight in start]
    optimiser = Lamb(weights, lr=0.1, eps=1e-6, weight_decay=0.01)
    for step in gradients:
        for weight, gradient in zip(weights, step, strict=True):
            weight.grad = gradient.clone()
        optimiser.step()
    for number, weight in enumerate(weights):
        seen = [step[number] for step in gradients]
        torch.testing.assert_close(weight.data, lamb_by_hand(start[number], seen, 0.1, 1e-6, 0.01))


def test_lamb_moves_a_tensor_of_zeros_with_trust_one():
    weight = nn.Parameter(torch.zeros(2, dtype=torch.float64))
    weight.grad = torch.tensor([3.0, -4.0], dtype=torch.float64)
    Lamb([weight], lr=0.1, eps=0.0).step()
    # The first update of each element is 0.1 g / sqrt(0.001 g^2), whatever the size of g.
    expected = 0.1 * 0.1 / math.sqrt(0.001)
    torch.testing.assert_close(weight.data, torch.tensor([-expected, expected], dtype=torch.float64))


def test_lamb_leaves_parameters_without_gradient_alone():
    used, unused = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2))
    used.grad = torch.ones(2)
    optimiser = Lamb([used, unused], lr=0.1, weight_decay=1.0)
    optimiser.step()
    assert torch.equal(unused, torch.ones(2))
    assert unused not in optimiser.state
    assert not torch.equal(used, torch.ones(2))


def test_lamb_learns():
    torch.manual_seed(0)
    model = nn.Linear(5, 1)
    inputs = torch.randn(64, 5)
    targets = inputs.sum(dim=1, keepdim=True)
    optimiser = Lamb(model.parameters(), lr=0.02)

    def loss() -> Tensor:
        optimiser.zero_grad()
        value = nn.functional.mse_loss(model(inputs), targets)
        value.backward()
        return value

    first = optimiser.step(loss)
    for _ in range(200):
        last = optimiser.step(loss)
    assert last < 0.05 * first


@pytest.mark.parametrize("name", ["adamw", "lamb"])
def test_weight_decay_spares_biases_and_normalisation_and_frozen_weights_are_left_out(name):
    optimiser = build_optimiser(Encoder(), config(optimizer=name, weight_decay=0.01), 0.1)
    decayed = {group["weight_decay"]: group["param_names"] for group in optimiser.param_groups}
    assert decayed == {0.01: ["dense.weight"], 0.0: ["dense.bias", "norm.weight", "norm.bias"]}


def test_a_stage_may_have_an_optimiser_of_its_own():
    training = config(optimizer="lamb", weight_decay=0.01, adam_epsilon=1e-6)
    own = training.ance.model_copy(update={"optimizer": "adamw", "weight_decay": 0.0})
    warmed_up, fine_tuned = (build_optimiser(Encoder(), training.in_stage(it), 0.1) for it in (own, training.ance))
    assert type(warmed_up) is torch.optim.AdamW and type(fine_tuned) is Lamb
    assert [group["weight_decay"] for group in warmed_up.param_groups] == [0.0, 0.0]
    assert [group["weight_decay"] for group in fine_tuned.param_groups] == [0.01, 0.0]
    assert all(group["eps"] == 1e-6 for group in warmed_up.param_groups + fine_tuned.param_groups)


@pytest.mark.parametrize(("name", "kind"), [("adamw", torch.optim.AdamW), ("lamb", Lamb)])
def test_the_configured_optimiser_has_the_configured_settings(name, kind):
    optimiser = build_optimiser(Encoder(), config(optimizer=name, adam_epsilon=1e-7), 0.3)
    assert type(optimiser) is kind
    assert all(group["lr"] == 0.3 and group["eps"] == 1e-7 for group in optimiser.param_groups)
