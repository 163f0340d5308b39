"""Spans arrive at a real OTLP/HTTP collector as the environment asks for them."""

from __future__ import annotations

import io
import json
import logging
import time
from collections.abc import Callable, Iterator

import pytest

from ance.errors import AnceError
from ance.runtime import logs, tracing
from ance.runtime.tracing import current_context, current_span, current_traceparent, exemplar, span, stages
from tests.collector import Collector, collector

CLIENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
UNSAMPLED = CLIENT[:-1] + "0"

Start = Callable[..., None]


@pytest.fixture
def received() -> Iterator[Collector]:
    with collector() as running:
        yield running


@pytest.fixture
def start(received: Collector, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Switches tracing to the collector on, with more variables."""

    def started(service: str = "trainer", **environment: str) -> None:
        for name, value in {"OTEL_EXPORTER_OTLP_ENDPOINT": received.url, **environment}.items():
            monkeypatch.setenv(name, value)
        tracing.start(service, "demo")

    yield started
    tracing.stop()


def test_nested_blocks_are_one_trace_with_their_times_and_attributes(received: Collector, start: Start) -> None:
    start()
    with span("outer", step=5, stage="ance") as outer:
        with span("inner") as inner:
            time.sleep(0.02)
            inner.add(tokens=3)
            inner.add(tokens=4)
        assert current_span() is outer
    tracing.stop()
    (above,), (below,) = received.named("outer"), received.named("inner")
    assert below.trace == above.trace and below.parent == above.id and above.parent == ""
    assert above.began <= below.began and below.ended <= above.ended
    assert 0.02 <= below.ended - below.began < 1
    assert abs(above.began - time.time()) < 10
    assert above.attributes == {"ance.step": 5, "ance.stage": "ance"}
    assert below.attributes == {"ance.tokens": 7}
    assert above.resource["service.name"] == "ance-trainer"
    assert above.resource["ance.run"] == "demo"


def test_a_trace_goes_on_in_another_process_and_an_unreadable_parent_begins_a_new_one(
    received: Collector, start: Start
) -> None:
    start()
    with span("here") as here:
        sent = current_traceparent()
    with span("there", parent=sent), span("below"):
        pass
    with span("new", parent="nonsense"):
        pass
    tracing.stop()
    there, below, new = (received.named(name)[0] for name in ("there", "below", "new"))
    assert here.context is not None
    assert there.parent == f"{here.context.span_id:016x}"
    assert there.trace == below.trace == sent.split("-")[1]
    assert new.parent == "" and new.trace != there.trace


def test_a_block_that_fails_says_with_what(received: Collector, start: Start) -> None:
    start()
    with pytest.raises(OSError, match="disk full"), span("save"):
        raise OSError("disk full")
    tracing.stop()
    (saved,) = received.named("save")
    assert saved.failed
    assert saved.attributes == {"error.type": "OSError"}


def test_stages_that_were_timed_follow_each_other_within_the_current_span(received: Collector, start: Start) -> None:
    start()
    stages(time.perf_counter(), [("queue", 1.0)])  # of nothing: not recorded
    with span("search"):
        began = time.perf_counter()
        time.sleep(0.05)
        stages(began, [("queue", 0.02), ("encode", 0.03)])
    tracing.stop()
    (whole,), (queue,), (encode,) = (received.named(name) for name in ("search", "queue", "encode"))
    assert received.children(whole).keys() == {"queue", "encode"}
    assert queue.ended - queue.began == pytest.approx(0.02, abs=1e-6)
    assert encode.began == pytest.approx(queue.ended, abs=1e-6)
    assert whole.began <= queue.began + 1e-4 and encode.ended <= whole.ended + 1e-3


def test_what_is_done_for_many_links_to_them_in_a_trace_of_its_own(received: Collector, start: Start) -> None:
    start()
    requests = []
    for _ in range(2):
        with span("request"):
            requests.append(current_context())
    with span("request", parent=UNSAMPLED):
        unsampled = current_context()
    with span("batch", links=[*requests, None, unsampled], queries=3):
        pass
    with span("unseen batch", links=[unsampled]):
        pass
    with span("nobody's batch", links=[]):
        pass
    tracing.stop()
    (batch,) = received.named("batch")
    first, second = received.named("request")
    assert batch.parent == "" and batch.trace not in {first.trace, second.trace}
    assert {first.id, second.id} < set(batch.links)
    assert received.named("unseen batch") == received.named("nobody's batch") == []


def test_the_sampler_of_the_environment_decides_at_the_root_and_a_client_that_samples_not_is_obeyed(
    received: Collector, start: Start
) -> None:
    start(OTEL_TRACES_SAMPLER="parentbased_traceidratio", OTEL_TRACES_SAMPLER_ARG="0")
    with span("root"), span("child"):
        assert exemplar() is None
        assert current_traceparent().endswith("-00")
    with span("asked for", parent=CLIENT), span("below"):
        assert exemplar() == {"trace_id": CLIENT.split("-")[1]}
    with span("not asked for", parent=UNSAMPLED):
        pass
    tracing.stop()
    assert {received_span.name for received_span in received.spans} == {"asked for", "below"}


def test_the_environment_names_the_service_and_gives_headers(received: Collector, start: Start) -> None:
    start(
        OTEL_SERVICE_NAME="mine",
        OTEL_RESOURCE_ATTRIBUTES="k8s.pod.name=ance-0",
        OTEL_EXPORTER_OTLP_HEADERS="authorization=Bearer%20x",
    )
    with span("work"):
        pass
    tracing.stop()
    (work,) = received.named("work")
    assert work.service == "mine" and work.resource["k8s.pod.name"] == "ance-0"
    assert received.headers[0]["authorization"] == "Bearer x"


def test_spans_leave_while_the_process_works(received: Collector, start: Start) -> None:
    start(OTEL_BSP_SCHEDULE_DELAY="20")
    with span("work"):
        pass
    received.wait_for(lambda found: found.named("work"))


def test_json_logs_name_the_current_span(start: Start) -> None:
    start()
    line = io.StringIO()
    record = logging.makeLogRecord({"msg": "saved", "name": "ance"})
    formatter = logs.JsonFormatter({"service": "trainer"})
    with span("save") as saving:
        line.write(formatter.format(record))
    inside, outside = json.loads(line.getvalue()), json.loads(formatter.format(record))
    assert f"00-{inside['trace']}-{inside['span']}-01" == saving.traceparent
    assert outside.keys().isdisjoint({"trace", "span"})


@pytest.mark.parametrize("collector_url", ["http://127.0.0.1:1", "http://10.255.255.1:4318"])
def test_a_collector_that_is_away_delays_nothing_and_is_one_line_in_the_log(
    collector_url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector_url)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "0.2")
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "10")
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "64")
    monkeypatch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "64")
    tracing.start("trainer", "demo")
    longest = 0.0
    for _ in range(300):
        began = time.perf_counter()
        with span("step"):
            pass
        longest = max(longest, time.perf_counter() - began)
        time.sleep(0.002)
    stopping = time.perf_counter()
    tracing.stop(seconds=0.5)
    assert time.perf_counter() - stopping < 1.5
    assert longest < 0.2
    assert [record.name for record in caplog.records] == ["ance.runtime.tracing.collector"]
    assert "does not answer, spans are dropped: " in caplog.text
    assert not caplog.text.rstrip().endswith(":"), "without a reason"


def test_a_collector_that_comes_back_is_said_and_gets_spans_again(
    received: Collector, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, start: Start
) -> None:
    caplog.set_level(logging.INFO, "ance")
    from ance.runtime.tracing.collector import quiet_exporter
    from ance.runtime.tracing.otlp import OtlpTracer
    from ance.runtime.tracing.spans import install

    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "0.1")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "10")
    exporter = quiet_exporter()
    install(OtlpTracer("trainer", "demo", exporter))
    with span("lost"):
        pass
    deadline = time.monotonic() + 10
    while "does not answer" not in caplog.text:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", received.url)
    exporter._exporter = quiet_exporter()._exporter  # as if the same address answered again
    with span("found"):
        pass
    received.wait_for(lambda found: found.named("found"))
    tracing.stop()
    assert [record.message for record in caplog.records][1:] == ["the trace collector answers again"]


@pytest.mark.parametrize(
    ("environment", "problem"),
    [
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "collector:4318"}, "OTEL_EXPORTER_OTLP_ENDPOINT.*http://HOST:4318"),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "collector:4318"}, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"),
        (
            {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4317", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
            "OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc'.*http/protobuf",
        ),
    ],
)
def test_an_endpoint_that_cannot_work_is_an_error_that_names_the_variable(
    environment: dict[str, str], problem: str
) -> None:
    with pytest.raises(AnceError, match=problem):
        tracing.start("trainer", "demo", environ=environment)
