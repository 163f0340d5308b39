"""The learning rate as a pure function of the step: nothing to save, nothing to restore.

The original can also begin its schedule anew with each version of the negatives. Its own commands switch that off
(`--single_warmup`), and the rate of a step would depend on when a version happened to come: it is left out.
"""

from math import cos, pi

from ance.training.config import StageConfig


def linear_warmup(step: int, warmup_steps: int) -> float:
    """Factor on the peak learning rate for the step that is about to run: it rises linearly to 1.

    Args:
        step: steps of the stage already done; the first step is 0.
        warmup_steps: length of the rise; the last of them has the full rate.
    """
    return (step + 1) / warmup_steps if step < warmup_steps else 1.0


def linear_warmup_decay(step: int, warmup_steps: int, total_steps: int) -> float:
    """`linear_warmup`, and then in a line towards 0, which is reached after `total_steps`.

    The schedule of the original (run_ann.py, run_warmup.py), shifted by a step so that none runs at 0.
    """
    if step < warmup_steps:
        return linear_warmup(step, warmup_steps)
    return max(0, total_steps - step) / max(1, total_steps - warmup_steps)


def cosine_warmup_decay(step: int, warmup_steps: int, total_steps: int) -> float:
    """`linear_warmup`, and then (1 + cos(pi t)) / 2 with t from 0 to 1, which is reached after `total_steps`.

    Loshchilov and Hutter 2017 (SGDR) without restarts; the original's `--scheduler cosine` (run_warmup.py) has no
    warm-up and ends at 1e-8.
    """
    if step < warmup_steps:
        return linear_warmup(step, warmup_steps)
    done = (step - warmup_steps) / max(1, total_steps - warmup_steps)
    return (1 + cos(pi * min(1, done))) / 2


def learning_rate(stage: StageConfig, step: int) -> float:
    """Learning rate of a stage for its step number `step`, counted from 0 at the start of the stage."""
    warmup, end = stage.lr_warmup_steps, stage.lr_decay_steps or stage.steps
    match stage.lr_schedule:
        case "linear":
            factor = linear_warmup_decay(step, warmup, end)
        case "cosine":
            factor = cosine_warmup_decay(step, warmup, end)
        case "constant":
            factor = linear_warmup(step, warmup)
    return stage.learning_rate * factor
