"""Latency statistics."""

from __future__ import annotations

from pydantic import NonNegativeFloat, NonNegativeInt

from services.search_api.models.base import Body


class Quantiles(Body):
    """Of the recent requests, in seconds."""

    p50: NonNegativeFloat
    p95: NonNegativeFloat
    p99: NonNegativeFloat


class ModeLatency(Body):
    """One mode of search."""

    count: NonNegativeInt
    """Requests since the start of the process."""
    recent: NonNegativeInt
    """Requests that the quantiles are of: the newest ones."""
    stages: dict[str, Quantiles]
    """By stage, and `total`."""


class SpeedUp(Body):
    """How much faster dense search is than BM25 with the cross-encoder."""

    ratio: NonNegativeFloat | None
    """Median of rerank seconds over dense seconds of the same query; absent before the first pair."""
    n: NonNegativeInt
    """Pairs: queries that were answered both ways, by /v1/compare or by the replay of live queries."""


class LatencyReport(Body):
    """Of this replica."""

    modes: dict[str, ModeLatency]
    speed_up: SpeedUp
