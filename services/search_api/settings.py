"""Settings of the search service, from environment variables."""

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt

from ance.runtime.settings import ServiceSettings


class SearchSettings(ServiceSettings):
    """Environment of one search process (prefix ANCE_)."""

    host: str = "0.0.0.0"
    """Address to listen on."""
    port: int = Field(default=8080, ge=0, le=65_535)
    """Port of the API (0: any free one, which the log names). Metrics have their own."""
    device: str = "cpu"
    """Torch device that encodes queries, e.g. `cuda`."""
    poll_seconds: PositiveFloat = 5.0
    """How often the index pointer in the store is read."""
    drain_seconds: NonNegativeFloat = 0.0
    """After SIGTERM, seconds in which requests are still accepted while /readyz already says no."""
    shutdown_seconds: PositiveInt = 30
    """After that, the longest wait for requests in flight. Together they must fit the pod's grace period."""
