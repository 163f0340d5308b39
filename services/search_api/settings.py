"""Settings of the search service, from environment variables."""

from ipaddress import ip_address
from pathlib import Path
from typing import Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt

from ance.runtime.milvus.settings import MilvusSettings
from ance.runtime.settings import ServiceSettings


class SearchSettings(ServiceSettings, MilvusSettings):
    """Environment of one search process (prefix ANCE_)."""

    host: str = "0.0.0.0"
    """Address to listen on."""
    port: int = Field(default=8080, ge=0, le=65_535)
    """Port of the API (0: any free one, which the log names). Metrics have their own."""
    device: str = "cpu"
    """Torch device that encodes queries, e.g. `cuda`."""
    liveness_seconds: PositiveFloat = 120.0
    """/livez fails when the event loop has stood still for this long. Nothing slow runs on it: versions are loaded,
    and the store is waited for, in threads."""
    poll_seconds: PositiveFloat = 5.0
    """How often the pointers in the store are read."""
    drain_seconds: NonNegativeFloat = 0.0
    """After SIGTERM, seconds in which requests are still accepted while /readyz already says no."""
    shutdown_seconds: PositiveInt = 30
    """After that, the longest wait for requests in flight. Together they must fit the pod's grace period."""

    api_keys_file: Path | None = None
    """File of API keys, a line `read KEY` or `admin KEY` each. Unset: everybody may ask anything."""
    cors_origins: str = ""
    """Origins, separated by commas, whose pages may call the API from a browser, e.g. https://example.org."""
    log_queries: bool = False
    """Log every request with the text of its queries."""

    request_seconds: PositiveFloat = 30.0
    """Longest time for a request, and the default; the header X-Request-Timeout asks for less."""
    body_seconds: PositiveFloat = 10.0
    """Longest time in which a client may send its body."""
    max_body_bytes: PositiveInt = 1 << 20
    """Largest body of a request."""
    max_queued_queries: PositiveInt = 512
    """Queries in work or waiting, beyond which a request is answered with 429."""
    max_queued_pairs: PositiveInt = 2_000
    """The same for pairs of query and document that the reranker has to score."""
    batch_tokens: PositiveInt = 4_096
    """Most tokens of queries that are encoded together."""
    batch_wait_seconds: NonNegativeFloat = 0.002
    """Longest wait for a batch to become as large as the one before it; a lone client never waits."""

    bm25: bool = True
    """Build the BM25 index in the background, once, for the modes bm25, rerank and hybrid."""
    rerank_tokens: PositiveInt = 256
    """Longest pair of query and passage that the reranker reads, in tokens."""
    replay_share: float = Field(default=0.0, ge=0, le=1)
    """Share of live dense queries that are reranked in the background, for comparing latencies."""
    replays_per_minute: PositiveFloat = 6.0
    """At most so many of them."""

    swap_policy: Literal["availability", "resource"] = "availability"
    """`availability` loads the new version before it lets go of the old one. `resource` lets go first, where
    memory holds only one: meanwhile the replica is not ready."""
    swap_jitter_seconds: NonNegativeFloat = 0.0
    """A replica that serves waits a random time up to this before a swap, so that not all swap at once."""
    fetch_retry_seconds: PositiveFloat = 30.0
    """How long to wait before a version that could not be fetched is tried again."""

    @property
    def on_loopback(self) -> bool:
        """Whether only this machine can reach the API."""
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"
