"""Settings of the trainer, from environment variables."""

from pydantic import NonNegativeInt, PositiveFloat, PositiveInt

from ance.runtime.feed.settings import FeedSettings
from ance.runtime.settings import LeaderSettings


class TrainerSettings(LeaderSettings, FeedSettings):
    """Environment of the trainer process (prefix ANCE_)."""

    feed_port: NonNegativeInt = 9100
    """Port of the checkpoint feed (gRPC)."""
    device: str = "cpu"
    """Torch device that trains, e.g. `cuda`."""
    warmup_threads: PositiveInt | None = None
    """CPU threads while no encoder competes for them, before the first refresh (unset: as `threads`)."""
    negatives_poll_seconds: PositiveFloat = 2.0
    """How often a thread beside training looks for newer negatives."""
    peer_seconds: PositiveFloat = 1800.0
    """Where several processes train: one that is silent this long is lost, and all begin anew from the last
    checkpoint. Longer than a checkpoint takes to save. One that dies is noticed at once."""
    grace_seconds: PositiveFloat = 120.0
    """Time between SIGTERM and SIGKILL: on Kubernetes the pod's terminationGracePeriodSeconds."""
