"""Metrics of an indexer, and of the queue that its leader looks after."""

from __future__ import annotations

from prometheus_client import CollectorRegistry

from ance.negatives.filters import FILTERS
from ance.runtime.contracts import Kind
from ance.runtime.metrics import buckets
from ance.runtime.metrics.family import Family
from ance.runtime.metrics.queue import QueueMetrics
from ance.runtime.metrics.store import StoreMetrics

PHASES = ("encode", "merge", "negatives", "score", "evaluate", "publish")
"""Of a refresh, in order; merging happens while shards arrive, and is not counted as encoding."""
PUBLISHED = (Kind.EMBEDDINGS.value, Kind.NEGATIVES.value, Kind.INDEX.value)
VERSIONS = (Kind.CHECKPOINT.value, *PUBLISHED)


class IndexerMetrics:
    """What an indexer measures. The leader shows the queue, also when no inferencer runs."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        make = Family("indexer", self.registry)
        self.leader = make.gauge("leader", "1 while this process leads.", start=0)
        self.finished = make.gauge("finished", "1 once the run's last version is published: nobody leads.", start=0)
        self.refresh_step = make.gauge("refresh_step", "Step of the checkpoint of the refresh under way.")
        self.refresh_shards = make.gauge("refresh_shards", "Shards of the refresh under way.")
        self.refresh_shards_done = make.gauge("refresh_shards_done", "Its shards that are encoded.")
        self.refreshes = make.counter("refreshes", "Refreshes published.")
        self.refresh_duration_seconds = make.histogram(
            "refresh_duration_seconds", "Time from the first task to published negatives.", buckets.REFRESH
        )
        self.phase_seconds = make.gauge("phase_seconds", "Time of each phase of the last refresh.", phase=PHASES)
        self.phase_duration_seconds = make.histogram(
            "phase_duration_seconds", "Time of each phase of a refresh.", buckets.PHASE, phase=PHASES
        )
        self.publishes = make.counter(
            "publishes", "Versions by how publishing ended.", kind=PUBLISHED, result=("done", "failed")
        )
        self.published_step = make.gauge("published_step", "Step of the version published last.")
        self.best_step = make.gauge("best_step", "Step of the version that is best on the dev split so far.")
        self.published_timestamp_seconds = make.gauge(
            "published_timestamp_seconds", "When the version published last was made, since the epoch."
        )
        self.index_vectors = make.gauge("index_vectors", "Vectors in the index published last.")
        self.recall_probe_ratio = make.gauge(
            "recall_probe_ratio", "Share of the exact top passages that the index published last finds, on a sample."
        )
        self.dev_metric = make.gauge(
            "dev_metric", "Dev metrics of the last version; Coverage where the dev questions have answers.", measure=()
        )
        self.negatives_overlap_ratio = make.gauge(
            "negatives_overlap_ratio",
            "Share of the last version's candidates that are also the previous version's or BM25's; current_topk: "
            "share of the negatives in use before it that are among its candidates (paper, figure 3).",
            reference=("previous", "bm25", "current_topk"),
        )
        self.pairs = make.counter(
            "pairs",
            "Pairs that the teacher's scores were needed of: known from an earlier version, or scored for this one.",
            source=("known", "scored"),
        )
        self.candidates_dropped = make.counter(
            "candidates_dropped",
            "Passages ranked for a query, or of a pool that it draws from, that must not be negatives, by the filter.",
            filter=FILTERS,
        )
        self.positive_rank = make.gauge(
            "positive_rank",
            "Rank of the best positive of a training query in the last version, as a quantile over the queries.",
            quantile=("0.5", "0.9"),
        )
        self.retention_deleted = make.counter(
            "retention_deleted", "Old versions deleted from the store.", kind=VERSIONS
        )
        self.queue = QueueMetrics(self.registry)
        self.store = StoreMetrics(self.registry)
