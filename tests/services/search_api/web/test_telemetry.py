import asyncio
import logging
import socket
import threading

import pytest
from starlette.requests import Request

from ance.runtime.metrics import SearchMetrics
from services.search_api.app import create_app
from services.search_api.web.telemetry import REQUEST_ID
from tests.services.search_api.live import Live, serving
from tests.services.search_api.tiny_run import TinyRun


def counted(metrics: SearchMetrics, mode: str, code: str) -> float | None:
    return metrics.registry.get_sample_value("ance_search_requests_total", {"mode": mode, "code": code})


def test_requests_are_counted_by_what_they_asked_for(live: Live, metrics: SearchMetrics) -> None:
    live.client.post("/v1/search", json={"query": "red", "mode": "rerank"})
    live.client.post("/v1/search", json={})
    live.client.get("/v1/latency")
    live.client.get("/healthz")
    assert counted(metrics, "rerank", "503") == 1
    assert counted(metrics, "other", "422") == 1
    assert counted(metrics, "other", "200") == 1


@pytest.mark.parametrize("log_queries", [True, False])
def test_queries_are_in_the_log_only_if_that_was_asked_for(
    run: TinyRun, caplog: pytest.LogCaptureFixture, log_queries: bool
) -> None:
    caplog.set_level(logging.DEBUG)
    run.publish(1)
    opened = run.open(poll_seconds=0.02, log_queries=log_queries)
    with serving(lambda draining: create_app(opened, SearchMetrics(), draining)) as live:
        live.wait_for_version(1)
        live.client.post("/v1/search", json={"query": "zebra crossing"})
        live.client.post("/v1/embeddings", json={"input": "zebra crossing"})
        live.client.get("/v1/search", params={"q": "zebra crossing"})
    ours = [record for record in caplog.records if record.name.startswith(("services", "ance"))]
    named = [record for record in ours if "zebra" in str(vars(record))]
    assert len(named) == (3 if log_queries else 0)
    levels = {record.levelno for record in ours if record.message == "request answered"}
    assert levels == {logging.INFO if log_queries else logging.DEBUG}


def test_a_request_keeps_its_id_and_gets_one_if_it_has_none(live: Live) -> None:
    assert live.client.get("/version", headers={REQUEST_ID: "abc-1"}).headers[REQUEST_ID] == "abc-1"
    for unusable in ("a b", "x" * 65, '"', ""):
        given = live.client.get("/version", headers={REQUEST_ID: unusable}).headers[REQUEST_ID]
        assert given and given != unusable


def test_a_failure_of_ours_is_counted_and_tells_no_internals(run: TinyRun, metrics: SearchMetrics) -> None:
    def make(draining: object) -> object:
        app = create_app(run.open(), metrics, lambda: False)

        async def broken(request: Request) -> None:
            raise RuntimeError("secret")

        app.router.add_route("/broken", broken)
        return app

    with serving(make) as live:  # type: ignore[arg-type]
        response = live.client.get("/broken")
    assert response.status_code == 500 and "secret" not in response.text
    assert response.headers["content-type"] == "application/problem+json"
    assert counted(metrics, "other", "500") == 1


def test_a_client_that_leaves_is_counted_as_gone(run: TinyRun, metrics: SearchMetrics) -> None:
    arrived = threading.Event()

    def make(draining: object) -> object:
        app = create_app(run.open(), metrics, lambda: False)

        async def slow(request: Request) -> None:
            arrived.set()
            await asyncio.sleep(60)

        app.router.add_route("/slow", slow)
        return app

    def gone() -> float | None:
        return metrics.registry.get_sample_value("ance_search_rejected_total", {"reason": "disconnected"})

    with serving(make) as live:  # type: ignore[arg-type]
        url = live.client.base_url
        with socket.create_connection((url.host, url.port), timeout=10) as connection:
            connection.sendall(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
            assert arrived.wait(10)
        live.wait_until(lambda: gone() == 1)
