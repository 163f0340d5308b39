"""What an optimiser step leaves behind: in the metrics, and in the run's series."""

import time
from statistics import fmean
from typing import Any

from ance.runtime.metrics import TrainerMetrics
from ance.training.step import StepResult
from services.trainer.negative_supply import Supply
from services.trainer.stages import Stage


def show(metrics: TrainerMetrics, stage: Stage, step: int, result: StepResult, supply: Supply) -> None:
    """Show the step that `step` counts in."""
    metrics.observe_step(
        step=step,
        loss=result.loss,
        learning_rate=result.learning_rate,
        seconds=result.seconds,
        tokens=result.tokens,
    )
    if result.instance_bounds:
        metrics.observe_gradients(result.gradient_norms, bounds_by_negatives(stage, result))
    if supply.version is not None:
        metrics.async_gap_steps.set(step - supply.version.step)
        metrics.async_gap_seconds.set(time.time() - supply.version.checkpoint_created_at)
        metrics.set_negatives(supply.version.step, supply.version.checkpoint_created_at)


def record(stage: Stage, step: int, result: StepResult, supply: Supply, *, stopping: bool = False) -> dict[str, Any]:
    """The step as a line of the series. Gradients are there every `training.gradient_norm_steps` steps.

    `stopping` marks the step that training ends early with.
    """
    line: dict[str, Any] = {
        "step": step,
        "stage": stage.name,
        "time": round(time.time(), 3),
        "seconds": round(result.seconds, 4),
        "loss": result.loss,
        "learning_rate": result.learning_rate,
        "async_gap": supply.async_gap(step),
        "async_gap_seconds": supply.async_gap_seconds(),
    }
    if stopping:
        line["stopping"] = True
    if result.instance_bounds:
        line["gradient_norms"] = result.gradient_norms
        bounds = bounds_by_negatives(stage, result)
        line["instance_gradient_norm_bounds"] = {kind: fmean(norms) for kind, norms in bounds.items() if norms}
    return line


def bounds_by_negatives(stage: Stage, result: StepResult) -> dict[str, list[float]]:
    """Gradient norms of the instances at the last layer, by kind of negative: the stage's own, and in-batch ones."""
    return {stage.config.negatives: result.instance_bounds["drawn"], "in_batch": result.instance_bounds["in_batch"]}
