"""Metrics of the search service."""

from __future__ import annotations

from prometheus_client import CollectorRegistry

from ance.runtime.metrics import buckets
from ance.runtime.metrics.family import Family


class SearchMetrics:
    """What a search replica measures."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        make = Family("search", self.registry)
        self.requests = make.counter("requests", "Requests by mode and HTTP status.", mode=(), code=())
        self.request_duration_seconds = make.histogram(
            "request_duration_seconds", "Time of a request.", buckets.REQUEST, mode=()
        )
        self.stage_duration_seconds = make.histogram(
            "stage_duration_seconds", "Time of each stage of a request.", buckets.REQUEST, stage=()
        )
        self.index_step = make.gauge("index_step", "Step of the version being served.")
        self.index_created_timestamp_seconds = make.gauge(
            "index_created_timestamp_seconds", "When the version being served was made, since the epoch."
        )
        self.index_swaps = make.counter(
            "index_swaps", "Attempts to swap to a newer version.", result=("activated", "refused")
        )
        self.index_swap_seconds = make.histogram(
            "index_swap_seconds", "Time to fetch, verify, load and probe a version.", buckets.FILES
        )
