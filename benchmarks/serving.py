"""A search service for benchmarks: the service as a process, closed-loop clients."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from typing import Any
from urllib.parse import urlsplit

import httpx
import numpy as np
import torch

from ance.cli.stack import LOCAL, free_port
from benchmarks.served_run import ServedRun

START_SECONDS = 300.0


@contextmanager
def service(run: ServedRun, *, threads: int, **environment: str) -> Iterator[tuple[str, int]]:
    """The search service of the run as a process: its URL and its process id, once it is ready."""
    port = free_port()
    own = {
        "ANCE_STORE": run.store.url,
        "ANCE_RUN": run.config.run,
        "ANCE_HOST": LOCAL,
        "ANCE_PORT": str(port),
        "ANCE_METRICS_PORT": "0",
        "ANCE_CACHE_DIR": str(run.folder / "cache"),
        "ANCE_POLL_SECONDS": "0.5",
        "ANCE_THREADS": str(threads),
        "OMP_NUM_THREADS": str(threads),
        "HF_HUB_OFFLINE": "1",
    }
    with started([sys.executable, "-m", "services.search_api"], own | environment) as process:
        url = f"http://{LOCAL}:{port}"
        wait_for(f"{url}/readyz", process)
        yield url, process.pid


@contextmanager
def started(command: Sequence[str], environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """A process that is ended with the block."""
    process = subprocess.Popen(command, env={**os.environ, **environment}, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(60)


def wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    """Return once the URL answers with 200."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"the service ended with {process.returncode} before it was ready")
        with suppress(httpx.TransportError):
            if httpx.get(url).status_code == 200:
                return
        time.sleep(0.1)
    raise TimeoutError(f"{url} was not ready after {START_SECONDS:.0f} s")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a service said."""

    status: int
    content: bytes

    def json(self) -> Any:
        """The content, decoded."""
        return json.loads(self.content)


class Client:
    """One connection that is kept. Lighter than httpx, whose milliseconds would be counted as the service's."""

    def __init__(self, url: str) -> None:
        address = urlsplit(url)
        self._path = address.path
        self._connection = HTTPConnection(str(address.hostname), address.port, timeout=60)

    def post(self, content: bytes) -> Answer:
        """Post JSON and read the answer.

        Raises:
            OSError, HTTPException: there was none.
        """
        self._connection.request("POST", self._path, content, {"content-type": "application/json"})
        response = self._connection.getresponse()
        return Answer(response.status, response.read())

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()


@dataclass
class Load:
    """What closed-loop clients saw."""

    seconds: list[float] = field(default_factory=list)
    finished_at: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    wall_seconds: float = 0.0

    @property
    def per_second(self) -> float:
        """Answers a second."""
        return len(self.seconds) / self.wall_seconds

    def quantile(self, q: float, during: Callable[[float], bool] = lambda _: True) -> float:
        """Of the seconds of requests that finished at such times."""
        chosen = [seconds for seconds, at in zip(self.seconds, self.finished_at, strict=True) if during(at)]
        return float(np.quantile(chosen, q)) if chosen else float("nan")


def closed_loop(
    url: str,
    bodies: Sequence[dict[str, object]],
    *,
    clients: int,
    seconds: float,
    check: Callable[[dict[str, object], Answer], str] = lambda body, answer: "",
) -> Load:
    """Clients that each ask again as soon as they are answered.

    Args:
        check: says what is wrong with an answer, nothing if it is right.
    """
    load, lock = Load(), threading.Lock()
    contents = [json.dumps(body).encode() for body in bodies]
    began = time.perf_counter()

    def ask(number: int) -> None:
        with Client(url) as client:
            turn = number
            while time.perf_counter() - began < seconds:
                chosen = turn % len(bodies)
                turn += clients
                asked = time.perf_counter()
                try:
                    answer = client.post(contents[chosen])
                    now = time.perf_counter()
                    problem = check(bodies[chosen], answer) if answer.status == 200 else str(answer.status)
                except (OSError, HTTPException) as error:
                    now = time.perf_counter()
                    problem = type(error).__name__
                with lock:
                    load.seconds.append(now - asked)
                    load.finished_at.append(now - began)
                    if problem:
                        load.failures.append(problem)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    load.wall_seconds = time.perf_counter() - began
    return load


def use_one_thread() -> None:
    """For this process, so that clients leave the processor to what is measured."""
    torch.set_num_threads(1)
