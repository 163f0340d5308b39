"""The background sampler on a live service: what it replays, and how rarely."""

import logging

import pytest

from ance.runtime.metrics import SearchMetrics
from services.search_api.app import create_app
from tests.services.search_api.live import Live, serving
from tests.services.search_api.tiny_run import TinyRun


def reranked(live: Live) -> int:
    modes = live.client.get("/v1/latency").json()["modes"]
    return modes["rerank"]["count"] if "rerank" in modes else 0


def test_live_dense_queries_are_replayed_at_most_at_the_rate(run: TinyRun, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    run.publish(1)
    run.publish_reranker(1)
    metrics = SearchMetrics()
    opened = run.open(poll_seconds=0.02, replay_share=1.0, replays_per_minute=60 / 0.5)
    with serving(lambda draining: create_app(opened, metrics, draining)) as live:
        live.wait_for_version(1)
        live.wait_for_modes()
        before = reranked(live)
        live.client.post("/v1/search", json={"queries": ["red", "green"]})
        live.client.post("/v1/search", json={"query": "red", "mode": "bm25"})
        live.client.post("/v1/search", json={"query": "red"})
        live.wait_until(lambda: reranked(live) == before + 1)
        for _ in range(5):  # within half a second of the first
            live.client.post("/v1/search", json={"query": "red"})
        assert reranked(live) <= before + 2
        report = live.client.get("/v1/latency").json()["speed_up"]
        assert report["n"] >= 1 and report["ratio"] > 0
        assert metrics.registry.get_sample_value("ance_search_rerank_speed_up_ratio") is not None


def test_without_a_share_nothing_is_replayed(ready: tuple[Live, TinyRun]) -> None:
    live, _ = ready
    before = reranked(live)
    for _ in range(5):
        live.client.post("/v1/search", json={"query": "red"})
    assert reranked(live) == before
