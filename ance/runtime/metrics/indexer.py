"""Metrics of an indexer, and of the queue that its leader looks after."""

from __future__ import annotations

from prometheus_client import CollectorRegistry

from ance.runtime.metrics import buckets
from ance.runtime.metrics.family import Family


class IndexerMetrics:
    """What an indexer measures. The leader shows the queue, also when no inferencer runs."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        make = Family("indexer", self.registry)
        self.leader = make.gauge("leader", "1 while this process leads.", start=0)
        self.refresh_step = make.gauge("refresh_step", "Step of the checkpoint of the refresh under way.")
        self.refresh_shards = make.gauge("refresh_shards", "Shards of the refresh under way.")
        self.refresh_shards_done = make.gauge("refresh_shards_done", "Its shards that are encoded.")
        self.refreshes = make.counter("refreshes", "Refreshes published.")
        self.refresh_duration_seconds = make.histogram(
            "refresh_duration_seconds", "Time from the first task to published negatives.", buckets.REFRESH
        )
        self.phase_seconds = make.gauge(
            "phase_seconds", "Time of each phase of the last refresh.", phase=("encode", "merge", "negatives")
        )
        self.published_step = make.gauge("published_step", "Step of the version published last.")
        self.index_vectors = make.gauge("index_vectors", "Vectors in the index published last.")
        self.dev_metric = make.gauge("dev_metric", "Dev metrics of the last version.", measure=())
        self.negatives_overlap_ratio = make.gauge(
            "negatives_overlap_ratio",
            "Share of the last version's candidates that are also the reference's.",
            reference=("previous", "bm25"),
        )
        queue = Family("queue", self.registry)
        self.queue_waiting = queue.gauge("waiting", "Tasks that no worker has.")
        self.queue_pending = queue.gauge("pending", "Tasks that a worker has.")
        self.queue_oldest_age_seconds = queue.gauge("oldest_age_seconds", "Age of the oldest unfinished task.")
        self.queue_dead = queue.gauge("dead", "Dead letters: tasks that failed on every delivery.")
