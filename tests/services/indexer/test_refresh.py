"""What a refresh shows of itself."""

from __future__ import annotations

import numpy as np
import pytest
from prometheus_client import CollectorRegistry
from redis import Redis

from ance.negatives.mined import MinedNegatives
from ance.runtime.metrics import QueueMetrics
from ance.runtime.queue import TaskQueue
from ance.runtime.redis.local_server import LocalRedis
from ance.runtime.store import StaleFencingToken
from services.indexer.publish import Publisher
from services.indexer.queue_report import report_queue
from services.indexer.refresh import compare
from tests.services.indexer.passes import Pass, checkpoint
from tests.system.tiny import PASSAGES


def value(under_way: Pass, name: str, **labels: str) -> float | None:
    return under_way.metrics.registry.get_sample_value(name, labels)


def refresh(under_way: Pass, *steps: int) -> None:
    assert under_way.lease.acquire() is not None
    try:
        with under_way.worker.working():
            for step in steps:
                under_way.refresh.run(checkpoint(under_way.run, step), under_way.lease)
    finally:
        under_way.lease.release()


def test_two_refreshes_show_their_phases_versions_and_negatives(under_way: Pass) -> None:
    refresh(under_way, 20, 25)
    for phase in ("encode", "merge", "negatives", "evaluate", "publish"):
        assert (value(under_way, "ance_indexer_phase_seconds", phase=phase) or 0) > 0
        assert value(under_way, "ance_indexer_phase_duration_seconds_count", phase=phase) == 2
    for kind in ("embeddings", "negatives", "index"):
        assert value(under_way, "ance_indexer_publishes_total", kind=kind, result="done") == 2
        assert value(under_way, "ance_indexer_publishes_total", kind=kind, result="failed") == 0
    assert value(under_way, "ance_indexer_published_step") == 25
    assert (value(under_way, "ance_indexer_published_timestamp_seconds") or 0) > 1e9
    for reference in ("previous", "current_topk"):
        ratio = value(under_way, "ance_indexer_negatives_overlap_ratio", reference=reference)
        assert ratio is not None and 0 <= ratio <= 1
    median = value(under_way, "ance_indexer_positive_rank", quantile="0.5") or 0
    assert 1 <= median <= (value(under_way, "ance_indexer_positive_rank", quantile="0.9") or 0) <= PASSAGES
    assert value(under_way, "ance_queue_up") == 1


def test_a_version_that_is_refused_counts_as_a_failed_publication(
    under_way: Pass, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise StaleFencingToken("a newer leader has published")

    monkeypatch.setattr(Publisher, "index", refused)
    with pytest.raises(StaleFencingToken):
        refresh(under_way, 20)
    assert value(under_way, "ance_indexer_publishes_total", kind="index", result="failed") == 1
    assert value(under_way, "ance_indexer_publishes_total", kind="index", result="done") == 0
    assert value(under_way, "ance_indexer_publishes_total", kind="negatives", result="done") == 1


def test_current_topk_is_the_share_of_the_negatives_in_use_that_the_new_index_still_ranks_at_the_top() -> None:
    rows = np.arange(2)

    def negatives(candidates: list[list[int]], sampled: list[list[int]]) -> MinedNegatives:
        return MinedNegatives(rows, np.array(candidates), np.array(sampled), np.zeros((2, len(sampled[0])), np.float32))

    mined = negatives([[1, 2, 3, 4], [1, 2, 3, 4]], [[1], [1]])
    previous = negatives([[1, 2, 8, 9], [5, 6, 7, 8]], [[1, 8], [5, 6]])
    assert compare(mined, {"previous": previous}) == {"previous": 0.25, "current_topk": 0.25}
    assert compare(mined, {"bm25": previous}) == {"bm25": 0.25}


def test_a_queue_without_redis_is_shown_as_down_and_keeps_its_last_depth(
    mortal_redis: LocalRedis, mortal_client: Redis
) -> None:
    metrics = QueueMetrics(registry := CollectorRegistry())
    queue = TaskQueue(mortal_client, "demo", "leader")
    report_queue(queue, metrics)
    assert registry.get_sample_value("ance_queue_up") == 1
    assert registry.get_sample_value("ance_queue_waiting") == 0
    mortal_redis.stop()
    report_queue(queue, metrics)
    assert registry.get_sample_value("ance_queue_up") == 0
    assert registry.get_sample_value("ance_queue_waiting") == 0
