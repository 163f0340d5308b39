"""What the probes of a kubelet hear."""

from __future__ import annotations

import threading
import urllib.error
import urllib.request

import pytest
from prometheus_client import CollectorRegistry

from ance.runtime.health import Health
from ance.runtime.metrics import serve


class Clock:
    time = 100.0

    def __call__(self) -> float:
        return self.time


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def health(clock: Clock) -> Health:
    return Health(60, clock=clock)


def get(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}") as response:
            return response.status, response.read().decode().strip()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode().strip()


def test_a_service_has_started_when_its_loop_has_come_round_once(health: Health) -> None:
    assert health.check("/startupz") == "starting"
    health.beat()
    assert health.check("/startupz") == ""


def test_it_is_ready_when_it_says_so_and_not_while_it_stops(clock: Clock) -> None:
    stopping = threading.Event()
    health = Health(60, stopping=stopping.is_set, clock=clock)
    assert health.check("/readyz") == "not ready"
    health.ready()
    assert health.check("/readyz") == ""
    stopping.set()
    assert health.check("/readyz") == "stopping"


def test_a_loop_that_is_stuck_is_not_alive(health: Health, clock: Clock) -> None:
    health.beat()
    clock.time += 60
    assert health.check("/livez") == ""
    clock.time += 5
    assert health.check("/livez") == "the loop has not come round for 65 s"
    health.beat()
    assert health.check("/livez") == ""


def test_long_work_is_alive_and_begins_a_new_age_when_it_ends(health: Health, clock: Clock) -> None:
    with health.long_work(), health.long_work():
        clock.time += 9999
        assert health.check("/livez") == ""
    assert health.check("/livez") == ""
    clock.time += 61
    assert health.check("/livez")


def test_a_question_whether_to_stop_is_a_sign_of_life(health: Health) -> None:
    assert health.beating(lambda: True)() is True
    assert health.check("/startupz") == ""


def test_the_probes_are_served_beside_the_metrics(health: Health, clock: Clock) -> None:
    with serve(CollectorRegistry(), 0, host="127.0.0.1", health=health) as server:
        assert get(server.port, "/startupz") == (503, "starting")
        health.beat()
        health.ready()
        assert [get(server.port, path) for path in ("/startupz", "/readyz", "/livez")] == [(200, "ok")] * 3
        clock.time += 61
        assert get(server.port, "/livez") == (503, "the loop has not come round for 61 s")
        assert get(server.port, "/metrics")[0] == 200
        assert get(server.port, "/healthz")[0] == 404


def test_without_a_health_there_are_only_metrics() -> None:
    with serve(CollectorRegistry(), 0, host="127.0.0.1") as server:
        assert get(server.port, "/metrics")[0] == 200
        assert get(server.port, "/livez")[0] == 404
