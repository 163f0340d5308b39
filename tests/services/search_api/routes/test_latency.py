import pytest

from tests.services.search_api.live import Live
from tests.services.search_api.tiny_run import TinyRun


def test_latencies_are_reported_by_mode_and_stage(live: Live, run: TinyRun) -> None:
    run.publish(1)
    run.publish_reranker(1)
    live.wait_for_version(1)
    assert live.client.get("/v1/latency").json()["speed_up"] == {"ratio": None, "n": 0}
    live.wait_for_modes()
    totals = [live.client.get("/v1/search?q=red").json()["timings"]["total"] for _ in range(5)]
    live.client.post("/v1/compare", json={"query": "red"})
    report = live.client.get("/v1/latency").json()
    assert (report["modes"]["dense"]["count"], report["modes"]["rerank"]["count"]) == (6, 2)
    total = report["modes"]["dense"]["stages"]["total"]
    assert min(totals) / 2 <= total["p50"] <= total["p95"] <= total["p99"]
    assert set(report["modes"]["dense"]["stages"]) == {"queue", "encode", "search", "rerank", "fetch", "total"}
    assert report["speed_up"]["n"] == 1
    assert report["speed_up"]["ratio"] == pytest.approx(report["speed_up"]["ratio"], rel=0.5)
