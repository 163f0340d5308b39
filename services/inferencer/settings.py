"""Settings of an inferencer, from environment variables."""

from ance.runtime.fleet import FleetSettings


class InferencerSettings(FleetSettings):
    """Environment of one inferencer process (prefix ANCE_)."""

    device: str = "cpu"
    """Torch device that encodes, e.g. `cuda`."""
