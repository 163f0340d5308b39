"""One refresh, from a checkpoint to published negatives and a published index."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ance.data.dataset import Dataset
from ance.evaluation.overlap import overlap
from ance.runtime.contracts import ArtifactRef, Part, RunConfig
from ance.runtime.layout import RunLayout
from ance.runtime.lease import RunLease
from ance.runtime.logs import get_logger
from ance.runtime.metrics import IndexerMetrics
from ance.runtime.store import Store
from services.indexer.builder import RefreshBuilder
from services.indexer.collector import Collector
from services.indexer.plan import plan, rows_of
from services.indexer.publish import Publisher

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Refresh:
    """Runs passes over the corpus for one leader."""

    config: RunConfig
    dataset: Dataset
    store: Store
    layout: RunLayout
    collector: Collector
    metrics: IndexerMetrics
    cache: Path

    def run(self, checkpoint: ArtifactRef, lease: RunLease) -> None:
        """Encode everything with `checkpoint`, mine while shards arrive, publish.

        Interrupted and run again, by this process or another, it continues with the shards that are missing.

        Raises:
            PassInterrupted: leadership or process ends; nothing half-done is visible.
            AnceError: a task can't be done.
        """
        started_at, started = time.time(), time.perf_counter()
        self.metrics.refresh_step.set(checkpoint.step)
        rows = rows_of(self.dataset, self.config)
        builder = RefreshBuilder(self.dataset, self.config, rows)
        entries, merge_seconds = [], 0.0
        for shard in self.collector.collect(plan(checkpoint, rows, self.config)):
            arrived = time.perf_counter()
            builder.add(shard)
            entries.append(shard.entry)
            merge_seconds += time.perf_counter() - arrived
        collected = time.perf_counter()

        publisher = Publisher(self.store, self.config, self.layout, self.dataset, checkpoint, lease, self.cache)
        earlier = publisher.earlier()
        # Negatives first: the trainer waits for them, everything after them is off its path.
        mined = publisher.negatives(builder) if rows[Part.TRAIN_QUERIES] else None
        negatives_seconds = time.perf_counter() - collected
        overlaps = {
            reference: overlap(mined.candidates, other.candidates)
            for reference, other in earlier.items()
            if mined is not None
        }
        dev = publisher.dev_metrics(builder) if rows[Part.DEV_QUERIES] else {}
        record: dict[str, Any] = {
            "step": checkpoint.step,
            "checkpoint_created_at": checkpoint.created_at,
            "started_at": started_at,
            "negatives_at": started_at + collected - started + negatives_seconds,
            "rows": {part.value: count for part, count in rows.items()},
            "merge_seconds": round(merge_seconds, 3),
            "negatives_seconds": round(negatives_seconds, 3),
            "refresh_seconds": round(collected - started + negatives_seconds, 3),
            "overlap": overlaps,
            "dev": dev,
        }
        publisher.embeddings(entries)
        # Last: once the index is published, no leader comes back to this pass.
        publisher.index(builder, record)
        self._report(record, vectors=rows[Part.PASSAGES])

    def _report(self, record: dict[str, Any], vectors: int) -> None:
        self.metrics.refreshes.inc()
        encode_seconds = record["refresh_seconds"] - record["merge_seconds"] - record["negatives_seconds"]
        self.metrics.phase_seconds.labels(phase="encode").set(encode_seconds)
        self.metrics.phase_seconds.labels(phase="merge").set(record["merge_seconds"])
        self.metrics.phase_seconds.labels(phase="negatives").set(record["negatives_seconds"])
        self.metrics.refresh_duration_seconds.observe(record["refresh_seconds"])
        self.metrics.published_step.set(record["step"])
        self.metrics.index_vectors.set(vectors)
        for measure, value in record["dev"].items():
            self.metrics.dev_metric.labels(measure=measure).set(value)
        for reference, value in record["overlap"].items():
            self.metrics.negatives_overlap_ratio.labels(reference=reference).set(value)
        log.info(
            "version published",
            extra={"step": record["step"], "seconds": record["refresh_seconds"], "dev": record["dev"]},
        )
