"""What a step shows and leaves behind."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ance.negatives.mined import MinedNegatives
from ance.negatives.sources import NoNegatives
from ance.runtime.contracts import ArtifactRef
from ance.runtime.metrics import TrainerMetrics
from ance.training.config import StageConfig
from ance.training.step import StepResult
from services.trainer.fresh_negatives import NegativesVersion
from services.trainer.negative_supply import Supply
from services.trainer.stages import Stage
from services.trainer.step_record import record, show

STAGE = Stage("ance", StageConfig(steps=60, learning_rate=1e-3, negatives="ance"), 20, 80)
NOTHING = np.zeros((0, 1), np.int64)
REF = ArtifactRef(step=20, manifest_uri="negatives/20/manifest.json", manifest_sha256="0" * 64, created_at=2_000.0)
VERSION = NegativesVersion(REF, 1_000.0, MinedNegatives(NOTHING[:, 0], NOTHING, NOTHING, NOTHING.astype(np.float32)))


def result(**bounds: list[float]) -> StepResult:
    return StepResult(0.5, {"top": 0.6, "global": 1.0}, 1e-4, 100, 0.25, bounds)


def test_a_step_on_mined_negatives_shows_its_gap_and_its_instances_by_kind_of_negative() -> None:
    metrics = TrainerMetrics()
    measured = result(drawn=[0.5, 1.5], in_batch=[0.1])
    show(metrics, STAGE, 25, measured, Supply(NoNegatives(), VERSION))
    value = metrics.registry.get_sample_value
    assert value("ance_trainer_async_gap_steps") == 5
    assert value("ance_trainer_negatives_checkpoint_step") == 20
    assert value("ance_trainer_negatives_created_timestamp_seconds") == 1_000
    assert value("ance_trainer_gradient_norm", {"group": "top"}) == 0.6
    assert value("ance_trainer_instance_gradient_norm_bound_sum", {"negatives": "ance"}) == 2
    assert value("ance_trainer_instance_gradient_norm_bound_count", {"negatives": "in_batch"}) == 1
    assert value("ance_trainer_instance_gradient_norm_bound_count", {"negatives": "bm25"}) == 0

    line = record(STAGE, 25, measured, Supply(NoNegatives(), VERSION))
    assert (line["step"], line["stage"], line["async_gap"]) == (25, "ance", 5)
    assert line["instance_gradient_norm_bounds"] == {"ance": 1.0, "in_batch": pytest.approx(0.1)}


def test_a_step_between_two_recordings_shows_no_gradients() -> None:
    metrics = TrainerMetrics()
    show(metrics, STAGE, 25, result(), Supply(NoNegatives()))
    assert metrics.registry.get_sample_value("ance_trainer_gradient_norm", {"group": "top"}) is None
    assert math.isnan(metrics.registry.get_sample_value("ance_trainer_async_gap_steps") or 0)
    assert "gradient_norms" not in (line := record(STAGE, 25, result(), Supply(NoNegatives())))
    assert line["async_gap"] is None
