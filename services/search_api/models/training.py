"""Progress of the training, for charts."""

from __future__ import annotations

from pydantic import NonNegativeInt

from services.search_api.models.base import Body

Numbers = tuple[float | None, ...]


class StepSeries(Body):
    """One value a sampled step; columns have the same length. A value that was not finite or not known is null."""

    step: tuple[int, ...]
    loss: Numbers
    learning_rate: Numbers
    async_gap: Numbers
    """Trainer's step minus the step that mined its negatives."""
    async_gap_seconds: Numbers


class GradientNorms(Body):
    """L2 norms before clipping, at the sampled steps that recorded them."""

    step: tuple[int, ...]
    groups: dict[str, Numbers]
    """By layer group, and `global`."""


class VersionMetrics(Body):
    """What a refresh measured."""

    version: NonNegativeInt
    published_at: float | None
    """Of its negatives, in seconds since the epoch."""
    refresh_seconds: float | None
    dev: dict[str, float]
    """Metrics of the dev split."""
    overlap: dict[str, float]
    """Share of its candidates that were also the reference's."""


class RefreshProgress(Body):
    """The pass over the corpus under way."""

    version: NonNegativeInt
    shards: NonNegativeInt
    shards_done: NonNegativeInt


class TrainingReport(Body):
    """What the run has recorded so far, at most a second old."""

    run: str
    step: NonNegativeInt
    """Last step on record: records come with checkpoints."""
    total_steps: NonNegativeInt
    stage: str | None
    series: StepSeries
    gradient_norms: GradientNorms
    versions: tuple[VersionMetrics, ...]
    """The oldest first."""
    refresh: RefreshProgress | None
    """Absent between refreshes."""
