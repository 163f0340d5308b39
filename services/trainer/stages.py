"""The stages of a run on one step axis."""

from dataclasses import dataclass
from typing import Literal

from ance.training.config import StageConfig, TrainingConfig

StageName = Literal["warmup", "ance"]


@dataclass(frozen=True, slots=True)
class Stage:
    """Steps (first, last] of the run, with their own optimiser and learning rate schedule."""

    name: StageName
    config: StageConfig
    first: int
    last: int


def stages(config: TrainingConfig) -> tuple[Stage, Stage]:
    """Warm-up, then ANCE; steps are numbered through."""
    warmup = Stage("warmup", config.warmup, 0, config.warmup.steps)
    return warmup, Stage("ance", config.ance, warmup.last, config.total_steps)
