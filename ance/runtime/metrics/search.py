"""Metrics of the search service."""

from __future__ import annotations

from prometheus_client import CollectorRegistry

from ance.runtime.metrics import buckets
from ance.runtime.metrics.family import Family
from ance.runtime.metrics.gpu import gpu_memory

SEARCH_MODES = ("dense", "bm25", "rerank", "hybrid")
MODES = (*SEARCH_MODES, "compare", "embed", "score", "other")
"""What a request asks for: a search, vectors, scores of given documents, or data."""
STAGES = ("queue", "encode", "search", "rerank", "fetch")
"""Where the time of a search goes."""


class SearchMetrics:
    """What a search replica measures."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        make = Family("search", self.registry)
        self.requests = make.counter("requests", "Requests by mode and HTTP status.", mode=(), code=())
        self.request_duration_seconds = make.histogram(
            "request_duration_seconds", "Time of a request.", buckets.REQUEST, mode=MODES
        )
        self.stage_duration_seconds = make.histogram(
            "stage_duration_seconds",
            "Time of each stage of a search.",
            buckets.REQUEST,
            mode=SEARCH_MODES,
            stage=STAGES,
        )
        self.batch_queries = make.histogram(
            "batch_queries", "Queries that were encoded and searched together.", (1, 2, 4, 8, 16, 32, 64, 128, 256)
        )
        self.queue_depth = make.gauge(
            "queue_depth", "Items that are admitted and not answered.", lane=("dense", "sparse", "rerank")
        )
        self.rejected = make.counter(
            "rejected",
            "Requests that were not worked on, or not to their end.",
            reason=("overloaded", "deadline", "disconnected", "too_large", "slow_body", "unauthorised"),
        )
        self.rerank_speed_up = make.gauge(
            "rerank_speed_up_ratio", "Median of rerank time over dense time of the same recent queries."
        )
        self.index = make.info("index", "What keeps the version being served (`backend`), and its kind (`factory`).")
        self.index_step = make.gauge("index_step", "Step of the version being served.")
        self.index_created_timestamp_seconds = make.gauge(
            "index_created_timestamp_seconds", "When the version being served was made, since the epoch."
        )
        self.index_pinned = make.gauge("index_pinned", "1 while a version is pinned by a rollback.", start=0)
        self.index_swaps = make.counter(
            "index_swaps", "Attempts to swap to another version.", result=("activated", "refused", "failed")
        )
        self.index_swap_seconds = make.histogram(
            "index_swap_seconds", "Time to fetch, verify, load and probe a version.", buckets.FILES
        )
        self.gpu_memory_bytes = gpu_memory(make)
