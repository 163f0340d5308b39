"""What a service's registry says arrives as numbers, and nothing else does."""

import socketserver
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread

import pytest
from prometheus_client import CollectorRegistry, Gauge

from ance.cli.scrape import Samples, scrape
from ance.cli.stack import free_port
from ance.runtime.metrics import TrainerMetrics, labelled, serve


@contextmanager
def answering(answer: bytes) -> Iterator[str]:
    """A server that says just this and hangs up."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.rfile.readline()
            self.wfile.write(answer)

    with socketserver.TCPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/metrics"
        finally:
            server.shutdown()
            thread.join()


def test_a_value_is_found_by_its_name_and_labels() -> None:
    metrics = TrainerMetrics()
    metrics.step.set(12)
    metrics.tokens.inc(500)
    metrics.gradient_norm.labels(group="global").set(0.5)
    with serve(metrics.registry, 0, "127.0.0.1") as server:
        samples = scrape(f"http://127.0.0.1:{server.port}/metrics")
    assert samples.get("ance_trainer_step") == 12
    assert samples.get("ance_trainer_tokens_total") == 500
    assert samples.get("ance_trainer_gradient_norm", group="global") == 0.5
    assert samples.get("ance_trainer_gradient_norm", group="head") is None
    assert samples.get("ance_trainer_gradient_norm") is None


def test_the_run_that_a_process_works_for_is_no_label_of_its_values() -> None:
    metrics = TrainerMetrics()
    metrics.step.set(12)
    with serve(labelled(metrics.registry, run="demo"), 0, "127.0.0.1") as server:
        samples = scrape(f"http://127.0.0.1:{server.port}/metrics")
    assert samples.get("ance_trainer_step") == 12


def test_what_was_not_measured_yet_is_unknown_and_not_nan() -> None:
    metrics = TrainerMetrics()
    with serve(metrics.registry, 0, "127.0.0.1") as server:
        samples = scrape(f"http://127.0.0.1:{server.port}/metrics")
    assert samples.get("ance_trainer_loss") is None
    assert samples.get("ance_trainer_waiting") == 0


def test_values_are_listed_by_a_label() -> None:
    registry = CollectorRegistry()
    gauge = Gauge("speed", "x", ("animal",), registry=registry)
    gauge.labels(animal="hare").set(9)
    gauge.labels(animal="snail").set(1)
    with serve(registry, 0, "127.0.0.1") as server:
        samples = scrape(f"http://127.0.0.1:{server.port}/metrics")
    assert samples.labelled("speed", "animal") == {"hare": 9, "snail": 1}
    assert samples.labelled("speed", "plant") == {}


def test_a_process_that_does_not_answer_gives_nothing() -> None:
    assert scrape(f"http://127.0.0.1:{free_port()}/metrics") == Samples()


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.0 200 OK\r\nContent-Length: 100\r\n\r\nance_trainer_st",
        b"HTTP/1.0 503 Later\r\n\r\n",
        b"SSH-2.0\r\n",
    ],
    ids=["hangs up", "dies in its answer", "refuses", "speaks no HTTP"],
)
def test_a_process_that_dies_while_it_answers_gives_nothing(answer: bytes) -> None:
    with answering(answer) as url:
        assert scrape(url) == Samples()


def test_a_proxy_of_the_environment_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    metrics = TrainerMetrics()
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port()}")
    monkeypatch.delenv("no_proxy", raising=False)
    with serve(metrics.registry, 0, "127.0.0.1") as server:
        assert scrape(f"http://127.0.0.1:{server.port}/metrics").values
