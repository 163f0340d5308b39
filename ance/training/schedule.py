"""The learning rate as a pure function of the step: nothing to save, nothing to restore."""

from ance.training.config import StageConfig


def linear_warmup_decay(step: int, warmup_steps: int, total_steps: int) -> float:
    """Factor on the peak learning rate for the step that is about to run.

    It rises linearly to 1, reached at the last warm-up step, and falls linearly towards 0, reached once the
    stage is over: no step of a stage runs at 0.

    Args:
        step: steps of the stage already done; the first step is 0.
        warmup_steps: length of the rise.
        total_steps: length of the stage.
    """
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    return max(0, total_steps - step) / max(1, total_steps - warmup_steps)


def learning_rate(stage: StageConfig, step: int) -> float:
    """Learning rate of a stage for its step number `step`, counted from 0 at the start of the stage."""
    return stage.learning_rate * linear_warmup_decay(step, stage.lr_warmup_steps, stage.steps)
