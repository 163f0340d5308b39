"""Settings of the indexer, from environment variables."""

from typing import Literal, Self

from pydantic import NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from ance.runtime.fleet import FleetSettings
from ance.runtime.kubernetes.scaling import ScalingPolicy
from ance.runtime.milvus.settings import MilvusSettings
from ance.runtime.settings import LeaderSettings


class IndexerSettings(LeaderSettings, FleetSettings, MilvusSettings):
    """Environment of one indexer process (prefix ANCE_)."""

    indexer_ranges: PositiveInt = 1
    """Ranges of the passages that are mined side by side, by this many indexers; the same for all of them. Search opens
    their indexes as one."""
    reconcile_seconds: PositiveFloat = 30.0
    """How often the store is compared with the queue, so that nothing lost stays lost."""
    dead_letter_retries: NonNegativeInt = 1
    """How often a dead task of a pass is put back before the pass is given up."""
    on_dead_letter: Literal["stop", "go_on"] = "stop"
    """What a leader does whose pass was given up. `stop` ends the process with the error, until somebody has mended the
    cause. `go_on` leaves the pass open: it is continued once its dead letters are requeued or dropped, or replaced by
    one with a newer checkpoint. The pass of the last checkpoint has none that could replace it: it always stops."""
    scaler_deployment: str = ""
    """Deployment of the inferencers, which the leader scales (empty: it does not); needs ANCE_KUBERNETES=true."""
    scaler_min: NonNegativeInt = 0
    """Fewest inferencers, and how many are left when the run is finished."""
    scaler_max: PositiveInt = 8
    """Most inferencers."""
    scaler_target_refresh_seconds: PositiveFloat = 1800.0
    """Time that encoding the corpus with one checkpoint should take."""
    scaler_stabilisation_seconds: NonNegativeFloat = 300.0
    """Inferencers are removed only when fewer have been enough for this long."""
    scaler_period_seconds: PositiveFloat = 15.0
    """How often the number of inferencers is looked at."""

    @model_validator(mode="after")
    def _bounds_in_order(self) -> Self:
        if self.scaler_min > self.scaler_max:
            raise ValueError(f"ANCE_SCALER_MIN={self.scaler_min} is more than ANCE_SCALER_MAX={self.scaler_max}")
        return self

    @property
    def scaling(self) -> ScalingPolicy:
        """What the built-in scaler is asked for."""
        return ScalingPolicy(
            minimum=self.scaler_min,
            maximum=self.scaler_max,
            target_seconds=self.scaler_target_refresh_seconds,
            stabilisation_seconds=self.scaler_stabilisation_seconds,
        )
