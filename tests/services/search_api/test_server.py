import asyncio
import threading

import httpx
import pytest
from fastapi import FastAPI

from ance.errors import AnceError
from ance.runtime.metrics import SearchMetrics
from ance.runtime.shutdown import Shutdown
from services.search_api.app import create_app
from services.search_api.server import listen
from services.search_api.web.problems import DRAINING
from tests.services.search_api.live import serving
from tests.services.search_api.tiny_run import TinyRun


def test_a_port_in_use_is_one_line_that_names_it() -> None:
    with listen("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(AnceError, match=f"in use.*{port}.*ANCE_PORT"):
            listen("127.0.0.1", port)


def test_while_it_drains_it_is_not_ready_but_still_answers(run: TinyRun) -> None:
    run.publish(1)
    factory = lambda draining: create_app(run.open(poll_seconds=0.02), SearchMetrics(), draining)  # noqa: E731
    with serving(factory, drain_seconds=1.0) as live:
        live.wait_for_version(1)
        live.shutdown.request()
        response = live.client.get("/readyz")
        assert (response.status_code, response.json()["type"]) == (503, DRAINING)
        assert live.client.post("/v1/search", json={"query": "red"}).status_code == 200
        live.thread.join(10)
        with pytest.raises(httpx.ConnectError):
            live.client.get("/healthz")


def test_a_request_in_flight_is_finished_before_the_server_ends() -> None:
    arrived, go_on = threading.Event(), threading.Event()

    def slow_app(draining: Shutdown) -> FastAPI:
        app = FastAPI()

        @app.get("/slow")
        async def slow() -> str:
            arrived.set()
            await asyncio.to_thread(go_on.wait, 10)
            return "done"

        return app

    with serving(slow_app) as live:
        answers: list[httpx.Response] = []
        asking = threading.Thread(target=lambda: answers.append(live.client.get("/slow")))
        asking.start()
        assert arrived.wait(10)
        live.shutdown.request()
        go_on.set()
        asking.join(10)
        live.thread.join(10)
        assert not live.thread.is_alive()
    assert answers[0].json() == "done"
