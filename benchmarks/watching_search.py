"""A dense search through the whole application, watched and not."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import nullcontext
from typing import Any

from fastapi import FastAPI

from ance.runtime.metrics import SearchMetrics
from ance.runtime.run import OpenRun
from benchmarks.served_run import ServedRun, published_run
from benchmarks.watching import Comparison, Watching
from services.search_api.app import create_app
from services.search_api.settings import SearchSettings

WARM_UP = 50


async def compare_searches(source: str, watching: Watching, pairs: int) -> Comparison:
    """Ask each query twice, without a network, which would only blur the difference."""
    with published_run(source) as run:
        app = create_app(opened(run), SearchMetrics(), draining=lambda: False)
        async with app.router.lifespan_context(app):
            while await ask(app, "GET", "/readyz") != 200:
                await asyncio.sleep(0.05)
            return await compare(app, run.queries(), watching, pairs)


def opened(run: ServedRun) -> OpenRun[SearchSettings]:
    """The run as a search service sees it."""
    values = {"store": run.store.url, "run": run.config.run, "cache_dir": run.folder / "cache"}
    return OpenRun(SearchSettings.model_validate(values), run.config, run.store, run.layout)


async def compare(app: FastAPI, queries: list[str], watching: Watching, pairs: int) -> Comparison:
    """Time the pairs, after some that warm up."""
    compared = Comparison()
    for pair in range(-WARM_UP, pairs):
        body = {"query": queries[pair % len(queries)], "top_k": 10}
        for watched in (True, False) if pair % 2 else (False, True):
            with nullcontext() if watched else watching.off():
                began = time.perf_counter()
                assert await ask(app, "POST", "/v1/search", body) == 200
                seconds = time.perf_counter() - began
            if pair >= 0:
                (compared.watched if watched else compared.unwatched).append(seconds)
    return compared


async def ask(app: FastAPI, method: str, path: str, body: dict[str, Any] | None = None) -> int:
    """The status of the answer to a request, asked as uvicorn asks."""
    data, status = json.dumps(body).encode() if body is not None else b"", 0
    waiting = asyncio.Event()
    sent = False

    async def receive() -> dict[str, Any]:
        nonlocal sent
        if sent:
            await waiting.wait()  # the client stays
        sent = True
        return {"type": "http.request", "body": data, "more_body": False}

    async def send(message: Any) -> None:
        nonlocal status
        status = message.get("status", status)

    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(data)).encode())]
    await app(
        {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "root_path": "",
            "headers": headers,
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 8080),
        },
        receive,
        send,
    )
    return status
