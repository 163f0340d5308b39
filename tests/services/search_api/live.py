"""A search service on a loopback port."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import httpx
from fastapi import FastAPI

from ance.runtime.shutdown import Shutdown
from services.search_api.server import listen, serve_until


@dataclass(frozen=True)
class Live:
    """A running service: a client of it, and what stops it."""

    client: httpx.Client
    shutdown: Shutdown
    thread: threading.Thread

    def wait_for_version(self, step: int) -> None:
        """Return once the service serves this version."""
        self.wait_until(lambda: self.client.get("/version").json()["index"] == step)

    def wait_for_modes(self) -> None:
        """Return once BM25 and the reranker are there, too."""
        self.wait_until(lambda: self.client.get("/v1/search?q=red&mode=rerank").status_code == 200)

    @staticmethod
    def wait_until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, "did not happen in time"
            time.sleep(0.01)


@contextmanager
def serving(app: Callable[[Shutdown], FastAPI], *, drain_seconds: float = 0.0) -> Iterator[Live]:
    """Serve the application of a factory until the end of the block."""
    with Shutdown(signals=()) as shutdown, listen("127.0.0.1", 0) as listener:
        thread = threading.Thread(
            target=serve_until,
            args=(shutdown, app(shutdown), listener),
            kwargs={"drain_seconds": drain_seconds, "shutdown_seconds": 10},
        )
        with httpx.Client(base_url=f"http://127.0.0.1:{listener.getsockname()[1]}", timeout=20) as client:
            thread.start()
            try:
                yield Live(client, shutdown, thread)
            finally:
                shutdown.request()
                thread.join()
