import asyncio
import socket
import time
from collections.abc import Iterator

import httpx
import pytest
from fastapi import FastAPI

from services.search_api.settings import SearchSettings
from services.search_api.web.intake import Intake
from services.search_api.web.problems import DEADLINE, MEDIA, SLOW_BODY, TOO_LARGE
from tests.services.search_api.live import Live, serving


class Slow:
    """An endpoint that never answers, and remembers that it was cancelled."""

    def __init__(self) -> None:
        self.began = 0
        self.cancelled = 0

    async def __call__(self) -> str:
        self.began += 1
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return "done"


@pytest.fixture(scope="module")
def slow() -> Slow:
    return Slow()


@pytest.fixture(scope="module")
def live(slow: Slow) -> Iterator[Live]:
    settings = SearchSettings(
        store="file:///nowhere", run="x", max_body_bytes=1000, body_seconds=0.3, request_seconds=1.0
    )
    app = FastAPI()
    app.add_middleware(Intake, settings=settings)
    app.get("/slow")(slow)

    @app.post("/echo")
    async def echo(body: dict[str, str]) -> dict[str, str]:
        return body

    with serving(lambda draining: app) as live:
        yield live


def raw(live: Live, *parts: bytes, pause: float = 0.0) -> bytes:
    """What the server sends back for bytes on a socket, until it closes or has sent a whole answer."""
    url = live.client.base_url
    with socket.create_connection((url.host, url.port), timeout=10) as connection:
        for part in parts:
            connection.sendall(part)
            time.sleep(pause)
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk
            if b"\r\n\r\n" in answer and b"}" in answer:
                break
        return answer


def test_a_request_that_takes_too_long_is_given_up(live: Live, slow: Slow) -> None:
    began, before = time.perf_counter(), slow.cancelled
    response = live.client.get("/slow", headers={"X-Request-Timeout": "0.1"})
    assert (response.status_code, response.json()["type"]) == (504, DEADLINE)
    assert time.perf_counter() - began < 0.9
    assert slow.cancelled == before + 1


def test_nobody_may_ask_for_more_time_than_is_allowed(live: Live) -> None:
    began = time.perf_counter()
    assert live.client.get("/slow", headers={"X-Request-Timeout": "50"}).status_code == 504
    assert time.perf_counter() - began < 10


@pytest.mark.parametrize("timeout", ["0", "-1", "nan", "inf", "soon", ""])
def test_an_impossible_timeout_is_a_problem(live: Live, timeout: str) -> None:
    response = live.client.get("/slow", headers={"X-Request-Timeout": timeout})
    assert response.status_code == 400
    assert "X-Request-Timeout" in response.json()["detail"]


def test_when_the_client_goes_its_request_is_cancelled(live: Live, slow: Slow) -> None:
    began, cancelled = slow.began, slow.cancelled
    url = live.client.base_url
    with socket.create_connection((url.host, url.port), timeout=10) as connection:
        connection.sendall(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
        live.wait_until(lambda: slow.began == began + 1)
    gone = time.perf_counter()
    live.wait_until(lambda: slow.cancelled == cancelled + 1)
    assert time.perf_counter() - gone < 0.9  # not the deadline


@pytest.mark.parametrize("announced", [True, False])
def test_a_large_body_is_refused_whether_announced_or_not(live: Live, announced: bool) -> None:
    body = b'{"a": "' + b"x" * 2000 + b'"}'
    content = body if announced else iter([body[:1500], body[1500:]])
    try:
        response = live.client.post("/echo", content=content, headers={"content-type": "application/json"})
    except httpx.WriteError:  # it was refused before all was sent
        return
    assert (response.status_code, response.json()["type"]) == (413, TOO_LARGE)


def test_a_body_that_does_not_arrive_is_not_waited_for(live: Live) -> None:
    head = b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
    answer = raw(live, head)
    assert answer.startswith(b"HTTP/1.1 408") and SLOW_BODY.encode() in answer
    assert live.client.post("/echo", json={"a": "b"}).json() == {"a": "b"}


@pytest.mark.parametrize(
    "headers",
    [
        {"content-type": "text/plain"},
        {"content-type": "application/x-www-form-urlencoded"},
        {"content-type": "application/jsonp"},
        {},
        {"content-type": "application/json", "content-encoding": "gzip"},
    ],
)
def test_only_plain_json_is_read(live: Live, headers: dict[str, str]) -> None:
    response = live.client.post("/echo", content=b"{}", headers=headers)
    assert (response.status_code, response.json()["type"]) == (415, MEDIA)


@pytest.mark.parametrize("kind", ["application/json; charset=utf-8", "APPLICATION/JSON", "application/ld+json"])
def test_json_may_be_named_in_other_ways(live: Live, kind: str) -> None:
    assert live.client.post("/echo", content=b"{}", headers={"content-type": kind}).json() == {}
