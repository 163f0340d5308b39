"""A search is one trace, from the client's traceparent to its stages; its latency points to it."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics
from prometheus_client.parser import text_string_to_metric_families as plain_text

from ance.runtime import tracing
from ance.runtime.metrics import SearchMetrics, labelled, serve
from services.search_api.app import create_app
from tests.collector import Collector, Received, collector
from tests.services.search_api.live import Live, serving
from tests.services.search_api.tiny_run import TinyRun

SERVER = 2
"""SPAN_KIND_SERVER of OTLP."""


def trace_id(number: int) -> str:
    return f"{number:032x}"


def traceparent(number: int, flags: str = "01") -> dict[str, str]:
    """The header of a client whose trace has this number."""
    return {"traceparent": f"00-{trace_id(number)}-b7ad6b7169203331-{flags}"}


@pytest.fixture(scope="module")
def received() -> Iterator[Collector]:
    with collector() as running, pytest.MonkeyPatch.context() as environment:
        environment.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", running.url)
        environment.setenv("OTEL_BSP_SCHEDULE_DELAY", "20")
        tracing.start("search_api", "tiny")
        yield running
        tracing.stop()


@pytest.fixture(scope="module")
def metrics() -> SearchMetrics:
    return SearchMetrics()


@pytest.fixture(scope="module")
def traced(
    received: Collector, fresh: TinyRun, metrics: SearchMetrics, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Live]:
    """A service with a version, BM25 and a reranker, that is traced."""
    run = fresh.copy(tmp_path_factory.mktemp("traced"))
    run.publish(1)
    run.publish_reranker(1)
    with serving(lambda draining: create_app(run.open(poll_seconds=0.02), metrics, draining)) as live:
        live.wait_for_version(1)
        live.wait_for_modes()
        yield live


def trace_of(received: Collector, number: int) -> dict[str, Received]:
    """The spans of a client's trace, by name, once its server span has arrived: it ends last."""

    def spans() -> list[Received]:
        return [span for span in received.spans if span.trace == trace_id(number)]

    received.wait_for(lambda _: any(span.kind == SERVER for span in spans()))
    return {span.name: span for span in spans()}


def test_a_request_continues_the_trace_of_its_client(traced: Live, received: Collector) -> None:
    body = {"query": "zebra crossing", "top_k": 3}
    response = traced.client.post("/v1/search", json=body, headers=traceparent(1))
    trace = trace_of(received, 1)
    request, search = trace["POST /v1/search"], trace["search dense"]
    assert response.headers["traceresponse"] == f"00-{trace_id(1)}-{request.id}-01"
    assert request.kind == SERVER and request.parent == "b7ad6b7169203331" and not request.failed
    assert request.service == "ance-search-api"
    expected = {
        "http.request.method": "POST",
        "http.route": "/v1/search",
        "http.response.status_code": 200,
        "url.path": "/v1/search",
        "url.scheme": "http",
        "server.address": "127.0.0.1",
        "server.port": traced.client.base_url.port,
        "network.protocol.version": "1.1",
    }
    assert request.attributes.items() >= expected.items()
    assert search.parent == request.id
    assert search.attributes == {
        "ance.mode": "dense",
        "ance.top_k": 3,
        "ance.queries": 1,
        "ance.index_step": 1,
        "ance.batch_queries": 1,
    }


@pytest.mark.parametrize(
    ("number", "mode", "stages"),
    [
        (100, "dense", ["queue", "encode", "search", "fetch"]),
        (101, "bm25", ["queue", "search", "fetch"]),
        (102, "hybrid", ["queue", "encode", "search", "fetch"]),
        (103, "rerank", ["queue", "search", "rerank", "fetch"]),
    ],
)
def test_the_stages_of_every_mode_are_below_it_in_their_order_and_last_as_long_as_the_answer_says(
    traced: Live, received: Collector, number: int, mode: str, stages: list[str]
) -> None:
    body = {"query": "red", "mode": mode, "candidates": 5}
    timings = traced.client.post("/v1/search", json=body, headers=traceparent(number)).json()["timings"]
    trace_of(received, number)
    mine = [span for span in received.spans if span.trace == trace_id(number)]
    (search,) = (span for span in mine if span.name == f"search {mode}")
    below = sorted((span for span in mine if span.parent == search.id), key=lambda span: span.began)
    in_order = list(dict.fromkeys(span.name for span in below))
    assert in_order == stages
    for stage in stages:
        lasted = sum(span.ended - span.began for span in below if span.name == stage)
        assert lasted == pytest.approx(timings[stage], abs=1e-5)
    assert search.began <= below[0].began + 1e-4 and below[-1].ended <= search.ended + 1e-3


def test_a_batch_links_to_the_requests_that_it_serves(traced: Live, received: Collector) -> None:
    def ask(number: int) -> None:
        traced.client.post("/v1/search", json={"query": f"red {number}"}, headers=traceparent(number))

    numbers = range(200, 216)
    with ThreadPoolExecutor(8) as clients:
        list(clients.map(ask, numbers))
    searches = [trace_of(received, number)["search dense"] for number in numbers]
    waited_for = {search.id for search in searches}
    received.wait_for(lambda found: waited_for <= {link for batch in found.named("batch") for link in batch.links})
    for search in searches:
        (batch,) = (batch for batch in received.named("batch") if search.id in batch.links)
        assert batch.attributes["ance.index_step"] == 1
        assert batch.attributes["ance.queries"] == search.attributes["ance.batch_queries"] == len(batch.links)
        assert batch.trace not in map(trace_id, numbers)


def test_no_span_holds_the_text_of_a_query(traced: Live, received: Collector) -> None:
    traced.client.get("/v1/search", params={"q": "zebra crossing"}, headers=traceparent(300))
    traced.client.post("/v1/embeddings", json={"input": "zebra crossing"}, headers=traceparent(301))
    for number in (300, 301):
        trace_of(received, number)
    assert "zebra" not in str(received.spans)


def test_a_refused_request_is_no_failure_of_the_server(traced: Live, received: Collector) -> None:
    traced.client.post("/v1/search", json={"query": 3}, headers=traceparent(400))
    traced.client.get("/nowhere", headers=traceparent(401))
    refused, lost = trace_of(received, 400)["POST /v1/search"], trace_of(received, 401)["GET"]
    assert refused.attributes["http.response.status_code"] == 422
    assert lost.attributes["http.response.status_code"] == 404 and "http.route" not in lost.attributes
    assert not refused.failed and not lost.failed


def test_probes_and_clients_that_sample_not_leave_no_trace(traced: Live, received: Collector) -> None:
    traced.client.get("/readyz", headers=traceparent(500))
    response = traced.client.post("/v1/search", json={"query": "red"}, headers=traceparent(501, flags="00"))
    assert response.headers["traceresponse"].endswith("-00")
    traced.client.post("/v1/search", json={"query": "red"}, headers=traceparent(502))
    trace_of(received, 502)
    assert {span.trace for span in received.spans}.isdisjoint({trace_id(500), trace_id(501)})


def test_latencies_point_to_traces_where_the_scraper_asks_for_open_metrics(
    traced: Live, metrics: SearchMetrics, received: Collector
) -> None:
    traced.client.post("/v1/search", json={"query": "red"}, headers=traceparent(600))
    with serve(labelled(metrics.registry, run="tiny"), 0, host="127.0.0.1") as server:
        url = f"http://127.0.0.1:{server.port}/metrics"
        accept = {"Accept": "application/openmetrics-text; version=1.0.0"}
        with urllib.request.urlopen(urllib.request.Request(url, headers=accept)) as answer:
            assert answer.headers["Content-Type"].startswith("application/openmetrics-text")
            families = {family.name: family for family in open_metrics(answer.read().decode())}
        with urllib.request.urlopen(url) as answer:
            assert answer.headers["Content-Type"].startswith("text/plain")
            plain = {family.name for family in plain_text(answer.read().decode())}
    for name in ("ance_search_request_duration_seconds", "ance_search_stage_duration_seconds"):
        samples = [sample for sample in families[name].samples if sample.labels.get("mode") == "dense"]
        traces = {sample.exemplar.labels["trace_id"] for sample in samples if sample.exemplar is not None}
        assert trace_id(600) in traces
        assert all(sample.labels["run"] == "tiny" for sample in samples)
        assert name in plain
