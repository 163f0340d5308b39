"""Settings of an inferencer, from environment variables."""

from pydantic import PositiveFloat, PositiveInt

from ance.runtime.settings import ServiceSettings


class InferencerSettings(ServiceSettings):
    """Environment of one inferencer process (prefix ANCE_)."""

    feed: str = ""
    """host:port of the trainer's checkpoint feed. Empty: the checkpoint pointer in the store is polled."""
    poll_seconds: PositiveFloat = 60.0
    """How often the checkpoint pointer is read when the feed is silent."""
    device: str = "cpu"
    """Torch device that encodes, e.g. `cuda`."""
    lease_seconds: PositiveFloat = 60.0
    """A task whose worker has been silent this long goes to another worker."""
    max_deliveries: PositiveInt = 5
    """A task that was delivered this often without success becomes a dead letter."""
