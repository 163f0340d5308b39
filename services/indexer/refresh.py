"""One refresh, from a checkpoint to published negatives and a published index."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ance.data.dataset import Dataset
from ance.evaluation.overlap import overlap
from ance.evaluation.positive_ranks import positive_ranks
from ance.negatives.mined import MinedNegatives
from ance.runtime.contracts import ArtifactRef, EncodeTask, FileEntry, Kind, Part, RunConfig
from ance.runtime.health import Health
from ance.runtime.index_backend import IndexBackend
from ance.runtime.layout import RunLayout
from ance.runtime.lease import RunLease
from ance.runtime.logs import get_logger
from ance.runtime.metrics import IndexerMetrics
from ance.runtime.shards import rows_of
from ance.runtime.store import Store
from ance.runtime.tracing import span
from services.indexer.builder import RefreshBuilder
from services.indexer.collector import Collector
from services.indexer.merged import MergedRanges
from services.indexer.mined import Mined
from services.indexer.plan import plan
from services.indexer.publish import Publisher
from services.indexer.range_miner import RangeMiner
from services.indexer.ranges import RangeStore, in_turn, tasks_by_range
from services.indexer.scoring import Scoring

log = get_logger(__name__)

RANGE_SECONDS = 0.2
"""How often the leader looks whether every range is mined."""


class Collected(NamedTuple):
    """What has come of all shards of a pass."""

    mined: Mined
    entries: list[FileEntry]
    """The shards that this pass has encoded."""
    merge_seconds: float


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
    backend: IndexBackend
    health: Health = field(default_factory=Health)
    miner: RangeMiner | None = None
    """Mines ranges in this process, where several indexers share the passages."""

    def run(self, checkpoint: ArtifactRef, lease: RunLease) -> None:
        """Encode everything with `checkpoint`, mine while shards arrive, publish.

        Interrupted and run again, by this process or another, it continues with the shards that are missing.

        Raises:
            PassInterrupted: leadership or process ends; nothing half-done is visible.
            AnceError: a task can't be done.
        """
        started_at, started = time.time(), time.perf_counter()
        self.metrics.refresh_step.set(checkpoint.step)
        rows = rows_of(self.dataset, self.config, checkpoint.step)
        with span("plan"):
            tasks = plan(checkpoint, rows, self.config)
        with span("collect", shards=len(tasks)) as collecting:
            if self.miner is None:
                mined, entries, merge_seconds = self._mine(checkpoint, lease, rows, tasks)
            else:
                mined, entries, merge_seconds = self._await_ranges(self.miner, checkpoint, rows, tasks)
            collecting.set(merge_seconds=merge_seconds)
        collected = time.perf_counter()

        with self.health.long_work():
            publisher = Publisher(self.store, self.config, self.layout, self.dataset, checkpoint, lease, self.cache)
            earlier = publisher.earlier()
            # Negatives first: the trainer waits for them, everything after them is off its path.
            negatives, scoring = None, self._scoring(checkpoint, lease)
            if rows[Part.TRAIN_QUERIES]:
                self.collector.require_leadership()
                with self._publishing(Kind.NEGATIVES), span("mine"):
                    negatives = publisher.negatives(mined, earlier.get("previous"), scoring)
            negatives_seconds = time.perf_counter() - collected
            with span("evaluate"):
                overlaps = compare(negatives, earlier) if negatives is not None else {}
                dev = publisher.dev_metrics(mined) if rows[Part.DEV_QUERIES] else {}
                if negatives is not None:
                    self._show_positive_ranks(mined)
            evaluated = time.perf_counter()
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
                "dropped": negatives.dropped if negatives is not None else {},
                "recall_probe": mined.recall_probe(),
                "dev": dev,
            }
            if scoring is not None:
                record["score_seconds"] = round(scoring.seconds, 3)
            self.collector.require_leadership()
            with self._publishing(Kind.EMBEDDINGS):
                publisher.embeddings(entries)
            self.collector.require_leadership()
            # Last: once the index is published, no leader comes back to this pass.
            with self._publishing(Kind.INDEX), span("build"):
                publisher.index(mined, record)
            phases = {
                "encode": collected - started - merge_seconds,
                "merge": merge_seconds,
                "negatives": negatives_seconds - (0 if scoring is None else scoring.seconds),
                "score": 0 if scoring is None else scoring.seconds,
                "evaluate": evaluated - collected - negatives_seconds,
                "publish": time.perf_counter() - evaluated,
            }
            self._report(record, phases, vectors=mined.vectors)

    def _mine(
        self, checkpoint: ArtifactRef, lease: RunLease, rows: dict[Part, int], tasks: list[EncodeTask]
    ) -> Collected:
        """Merge and index every shard in this process, as it comes."""
        builder = RefreshBuilder(
            self.dataset,
            self.config,
            rows,
            lambda dim: self.backend.build(dim, step=checkpoint.step, token=lease.token),
        )
        entries, merge_seconds = [], 0.0
        for shard in self.collector.collect(tasks):
            arrived = time.perf_counter()
            builder.add(shard)
            if shard.is_new:
                entries.append(shard.entry)
            merge_seconds += time.perf_counter() - arrived
        return Collected(builder, entries, merge_seconds)

    def _await_ranges(
        self, miner: RangeMiner, checkpoint: ArtifactRef, rows: dict[Part, int], tasks: list[EncodeTask]
    ) -> Collected:
        """See that every shard is encoded, and every range mined, by whichever indexer takes it."""
        by_range = tasks_by_range(tasks, miner.ranges)
        for _ in self.collector.oversee(in_turn(by_range)):
            miner.check()
        ranges = RangeStore(self.store, self.layout.index(checkpoint.step), len(by_range))
        while not all(ranges.is_mined(number) for number in range(ranges.ranges)):
            self.collector.require_leadership()
            miner.check()
            time.sleep(RANGE_SECONDS)
        merged = MergedRanges(ranges, rows)
        return Collected(merged, merged.shards, merged.seconds)

    def _scoring(self, checkpoint: ArtifactRef, lease: RunLease) -> Scoring | None:
        """What has negatives judged; None where the run has no teacher."""
        teacher = self.config.training.ance.teacher
        if teacher is None:
            return None
        return Scoring(
            self.store,
            self.config,
            teacher,
            self.layout,
            self.dataset.qrels("train"),
            checkpoint,
            lease,
            self.collector,
            self.metrics,
            self.cache,
        )

    @contextmanager
    def _publishing(self, kind: Kind) -> Iterator[None]:
        """Counts how the publication ends."""
        try:
            yield
        except Exception:
            self.metrics.publishes.labels(kind=kind.value, result="failed").inc()
            raise
        self.metrics.publishes.labels(kind=kind.value, result="done").inc()

    def _show_positive_ranks(self, mined: Mined) -> None:
        ids, _ = mined.ranking(Part.TRAIN_QUERIES)
        ranks = positive_ranks(ids, self.dataset.qrels("train"))
        if not len(ranks):
            return
        for quantile in ("0.5", "0.9"):
            self.metrics.positive_rank.labels(quantile=quantile).set(np.quantile(ranks, float(quantile)))

    def _report(self, record: dict[str, Any], phases: Mapping[str, float], vectors: int) -> None:
        self.metrics.refreshes.inc()
        for phase, seconds in phases.items():
            self.metrics.phase_seconds.labels(phase=phase).set(seconds)
            self.metrics.phase_duration_seconds.labels(phase=phase).observe(seconds)
        self.metrics.refresh_duration_seconds.observe(record["refresh_seconds"])
        self.metrics.published_timestamp_seconds.set_to_current_time()
        self.metrics.published_step.set(record["step"])
        self.metrics.index_vectors.set(vectors)
        if record["recall_probe"]:
            self.metrics.recall_probe_ratio.set(record["recall_probe"]["recall"])
        for name, count in record["dropped"].items():
            self.metrics.candidates_dropped.labels(filter=name).inc(count)
        for measure, value in record["dev"].items():
            self.metrics.dev_metric.labels(measure=measure).set(value)
        for reference, value in record["overlap"].items():
            self.metrics.negatives_overlap_ratio.labels(reference=reference).set(value)
        log.info(
            "version published",
            extra={"step": record["step"], "seconds": record["refresh_seconds"], "dev": record["dev"]},
        )


def compare(negatives: MinedNegatives, earlier: Mapping[str, MinedNegatives]) -> dict[str, float]:
    """Overlap of new candidates with those of earlier negatives, and of the negatives in use with the new candidates.

    Args:
        earlier: by reference; `previous` is what training has used until now.

    Returns:
        The overlap by reference, and as `current_topk` the share of the previous version's sampled negatives that are
        still among the top of the index: what the asynchrony of the refresh costs (paper, figure 3).
    """
    overlaps = {reference: overlap(negatives.candidates, other.candidates) for reference, other in earlier.items()}
    if "previous" in earlier:
        overlaps["current_topk"] = overlap(np.asarray(earlier["previous"].negatives), negatives.candidates)
    return overlaps
