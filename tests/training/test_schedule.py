import pytest
import torch

from ance.training.config import StageConfig
from ance.training.schedule import cosine_warmup_decay, learning_rate, linear_warmup_decay


def test_the_factor_rises_to_one_and_falls_towards_zero():
    factors = [linear_warmup_decay(step, warmup_steps=4, total_steps=8) for step in range(8)]
    assert factors == [0.25, 0.5, 0.75, 1.0, 1.0, 0.75, 0.5, 0.25]


def test_without_warmup_the_first_step_has_the_full_rate():
    assert linear_warmup_decay(0, warmup_steps=0, total_steps=10) == 1.0


def test_a_warmup_longer_than_the_stage_never_reaches_the_full_rate():
    assert linear_warmup_decay(9, warmup_steps=20, total_steps=10) == 0.5


def test_the_factor_stays_zero_after_the_stage():
    assert linear_warmup_decay(10, 2, 10) == linear_warmup_decay(99, 2, 10) == 0.0


def test_the_learning_rate_scales_with_the_stage():
    stage = StageConfig(steps=10, learning_rate=2e-5, lr_warmup_steps=2, negatives="ance")
    assert learning_rate(stage, 0) == pytest.approx(1e-5)
    assert learning_rate(stage, 1) == pytest.approx(2e-5)
    assert learning_rate(stage, 6) == pytest.approx(1e-5)


def test_a_cosine_is_that_of_torch_after_the_warmup():
    optimiser = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    reference = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, T_max=20)
    factors = [cosine_warmup_decay(step, warmup_steps=5, total_steps=25) for step in range(25)]
    assert factors[:5] == [0.2, 0.4, 0.6, 0.8, 1.0]
    for factor in factors[5:]:
        assert factor == pytest.approx(reference.get_last_lr()[0])
        optimiser.step()
        reference.step()
    assert factors[-1] > 0 and cosine_warmup_decay(99, 5, 25) == 0.0


def test_a_constant_rate_rises_and_stays():
    stage = StageConfig(steps=10, learning_rate=2e-5, lr_warmup_steps=2, lr_schedule="constant", negatives="ance")
    assert [learning_rate(stage, step) for step in range(10)] == [1e-5] + [2e-5] * 9


@pytest.mark.parametrize("schedule", ["linear", "cosine"])
def test_a_schedule_may_be_longer_than_its_stage(schedule):
    stage = StageConfig(steps=10, learning_rate=2e-5, lr_schedule=schedule, lr_decay_steps=20, negatives="ance")
    longer = StageConfig(steps=20, learning_rate=2e-5, lr_schedule=schedule, negatives="ance")
    assert [learning_rate(stage, step) for step in range(10)] == [learning_rate(longer, step) for step in range(10)]
    assert learning_rate(longer, 10) == pytest.approx(1e-5)
