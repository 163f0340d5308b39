"""A tiny run that trains, refreshes and serves while a real Prometheus watches."""

from __future__ import annotations

import json
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from ance.cli.fleet import Fleet
from ance.cli.stack import Stack, StackOptions, free_port, plan_stack
from ance.cli.supervisor import Supervisor
from ance.runtime.layout import RunLayout
from ance.runtime.store import Store
from tests.observability.prometheus import Prometheus, prometheus
from tests.services.service_run import prepare_store
from tests.system.tiny import config

REFRESHES = 2
"""Enough for an overlap with the version before, a swap and a deleted version."""
QUERIES = ("ban bel", "cim dor", "fut gan lel", "mor put ran")


@dataclass(frozen=True)
class Observed:
    """The run under observation; the logs are those of its services."""

    prometheus: Prometheus
    stack: Stack
    logs: Path


@pytest.fixture(scope="module")
def observed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Observed]:
    """A stack that has refreshed, swapped and answered, and still trains."""
    if shutil.which("prometheus") is None:
        pytest.skip("prometheus (a Debian package) is missing")
    folder = tmp_path_factory.mktemp("observed")
    prepare_store(folder)
    values = config(folder / "encoder", run="demo", retention={"keep": 1})
    values["training"]["ance"] = values["training"]["ance"] | {"steps": 100_000}  # it trains until it is stopped
    store = Store.open(f"file://{folder / 'store'}")
    store.write(RunLayout("demo").run_yaml, yaml.safe_dump(values).encode())
    stack = plan_stack(StackOptions(store.url, "demo", folder / "local", Fleet(inferencers=2), search_port=free_port()))
    (folder / "local" / "cache").mkdir(parents=True)
    supervisor = Supervisor(folder / "local" / "logs")
    targets = {name: url.split("/")[2] for name, url in stack.metrics.items()}
    with prometheus(folder, targets) as server:
        try:
            for process in stack.processes:
                supervisor.start(process)
            # One inferencer alone can refresh before the other has started.
            await_value(server, "sum(up)", lambda services: services == len(targets), supervisor)
            first = await_value(server, "sum(ance_indexer_refreshes_total)", lambda value: value >= 1, supervisor)
            send_searches(stack.search_url, supervisor)
            await_value(
                server, "sum(ance_indexer_refreshes_total)", lambda value: value >= first + REFRESHES, supervisor
            )
            send_searches(stack.search_url, supervisor)
            # A counter that is first scraped at its last value never rises: answer again after the first scrape.
            await_value(server, "sum(ance_search_requests_total)", lambda answers: answers > 0, supervisor)
            send_searches(stack.search_url, supervisor)
            # The answers are counted only once they were scraped, and the rules evaluated after that.
            for ratio in ("errors", "slow"):
                await_value(server, f"run:ance_search_{ratio}:ratio_rate1h", lambda share: share >= 0, supervisor)
            yield Observed(server, stack, folder / "local" / "logs")
        finally:
            supervisor.stop()


def await_value(
    server: Prometheus, expr: str, reached: Callable[[float], bool], supervisor: Supervisor, seconds: float = 300
) -> float:
    """The value of a query, once it is as wanted."""
    deadline = time.monotonic() + seconds
    while True:
        supervisor.check()
        values = server.values(expr)
        if values and reached(values[0]):
            return values[0]
        assert time.monotonic() < deadline, f"{expr}: {values}; {supervisor.new_events()}"
        time.sleep(0.5)


def send_searches(url: str, supervisor: Supervisor, seconds: float = 120) -> None:
    """Some answers of each kind that needs no reranker, once the service is ready, and one mistake of the client."""
    deadline = time.monotonic() + seconds
    while status(f"{url}/readyz") != 200:
        supervisor.check()
        assert time.monotonic() < deadline, "search did not become ready"
        time.sleep(0.5)
    for query in QUERIES:
        assert status(f"{url}/v1/search", {"query": query, "top_k": 3}) == 200
    assert status(f"{url}/v1/search", {"query": 3}) == 422


def status(url: str, body: dict[str, object] | None = None) -> int:
    """HTTP status of a GET, or of a POST with a body; 0 where nobody answers."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"content-type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code
    except OSError:
        return 0
