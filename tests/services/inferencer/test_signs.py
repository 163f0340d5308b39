"""What an inferencer shows of itself: to a kubelet, and to whoever scales it down."""

from __future__ import annotations

import threading

import pytest
from prometheus_client import CollectorRegistry
from redis import Redis

from ance.runtime.health import Health
from ance.runtime.metrics import serve
from ance.runtime.shutdown import Shutdown
from services.inferencer import loop
from tests.runtime.test_health import get
from tests.services.conftest import NewRun
from tests.services.inferencer.test_loop import Bench
from tests.services.service_run import background, wait_until


@pytest.fixture
def bench(new_run: NewRun, client: Redis, shutdown: Shutdown, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setattr(loop, "BLOCK_SECONDS", 0.05)
    return Bench(new_run(), client, shutdown)


def test_a_stuck_loop_fails_the_liveness_probe_until_it_moves(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    health = bench.inferencer._health = Health(0.5)
    task = bench.task(bench.run.publish_checkpoint(20))
    release, npy_bytes = threading.Event(), loop.npy_bytes
    monkeypatch.setattr(loop, "npy_bytes", lambda vectors: (release.wait(30), npy_bytes(vectors))[1])
    with (
        serve(CollectorRegistry(), 0, host="127.0.0.1", health=health) as server,
        background(bench.inferencer.run, stop=bench.shutdown.request),
    ):
        wait_until(lambda: get(server.port, "/readyz")[0] == 200)
        bench.queue.enqueue([task])
        wait_until(lambda: get(server.port, "/livez")[0] == 503)
        assert get(server.port, "/readyz")[0] == 200, "Redis and store are well: only the loop is stuck"
        release.set()
        wait_until(lambda: get(server.port, "/livez") == (200, "ok"))
        wait_until(lambda: not bench.queue.outstanding())


def test_loading_an_encoder_for_long_is_no_reason_to_be_killed(bench: Bench) -> None:
    health = bench.inferencer._health = Health(0.05)
    seen: list[str] = []

    def look() -> None:
        threading.Event().wait(0.2)
        seen.append(health.check("/livez"))

    bench.encoders.before_encoding = look  # type: ignore[method-assign]
    bench.work_off(bench.task(bench.run.publish_checkpoint(20)))
    assert seen == [""]


def test_it_tells_when_work_begins_and_when_there_is_none(bench: Bench) -> None:
    told: list[bool] = []
    bench.inferencer._tell_busy = told.append
    checkpoint = bench.run.publish_checkpoint(20)
    bench.queue.enqueue([bench.task(checkpoint)])
    with background(bench.inferencer.run, stop=bench.shutdown.request):
        wait_until(lambda: True in told and told[-1] is False)
    assert told.count(True) == 1
