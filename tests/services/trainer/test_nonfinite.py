"""Steps whose loss is not finite."""

from __future__ import annotations

import logging

import pytest
from redis import Redis

from ance.runtime.shutdown import Shutdown
from ance.training.step import NonFiniteLoss, StepResult, TrainingStep
from services.trainer.loop import NONFINITE_STEPS
from tests.services.conftest import NewRun
from tests.services.trainer.process import TrainerProcess, series

TRAINING = {
    "checkpoint_steps": 2,
    "max_async_gap": 0,
    "warmup": {"steps": 6, "learning_rate": 1e-3, "negatives": "random"},
    "ance": {"steps": 0, "learning_rate": 1e-3, "negatives": "random"},
}


def diverging(monkeypatch: pytest.MonkeyPatch, steps: set[int]) -> None:
    """Let these optimiser steps, counted from 0, find a loss that is not finite."""
    run = TrainingStep.run

    def run_or_diverge(self: TrainingStep, step: int, *arguments: object, **keywords: object) -> StepResult:
        if step in steps:
            raise NonFiniteLoss(f"step {step}: the loss is nan")
        return run(self, step, *arguments, **keywords)  # type: ignore[arg-type]

    monkeypatch.setattr(TrainingStep, "run", run_or_diverge)


def test_a_single_one_is_left_out_counted_and_logged(
    new_run: NewRun,
    client: Redis,
    shutdown: Shutdown,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    diverging(monkeypatch, {1, 3, 4})
    run = new_run(training=TRAINING)
    process = TrainerProcess(run, client, shutdown)
    with caplog.at_level(logging.ERROR):
        process.run()
    assert [record["step"] for record in series(run)] == [1, 3, 6]
    assert process.metrics.registry.get_sample_value("ance_trainer_nonfinite_total") == 3
    assert caplog.text.count("step left out") == 3


def test_as_many_in_a_row_as_mean_divergence_end_the_training(
    new_run: NewRun, client: Redis, shutdown: Shutdown, monkeypatch: pytest.MonkeyPatch
) -> None:
    diverging(monkeypatch, set(range(1, 1 + NONFINITE_STEPS)))
    process = TrainerProcess(new_run(training=TRAINING), client, shutdown)
    with pytest.raises(NonFiniteLoss, match=f"step {NONFINITE_STEPS}"):
        process.run()
    assert process.metrics.registry.get_sample_value("ance_trainer_nonfinite_total") == NONFINITE_STEPS
