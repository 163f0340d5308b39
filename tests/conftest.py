"""A real redis-server for every test that needs one, emulators of object stores, and which tests share a worker."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from redis import Redis
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from ance.runtime.redis.client import connect
from ance.runtime.redis.local_server import LocalRedis
from tests.object_stores import EMULATORS, new_prefix

LONG = ("system", "observability", "cli")
"""Folders whose tests wait for whole runs: they start first, so that no worker is left with them at the end."""
TOGETHER = "tests/system"
"""Its files share a run that takes long to make."""


class Workers(LoadScopeScheduling):
    """The tests of a file share one worker, and what that has set up for them."""

    def _split_scope(self, nodeid: str) -> str:
        return TOGETHER if nodeid.startswith(f"{TOGETHER}/") else nodeid.partition("::")[0]


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Workers:
    """How `make test` spreads the tests over its workers."""
    return Workers(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the long ones first."""
    items.sort(key=lambda item: item.path.parent.name not in LONG)


@pytest.fixture(scope="session")
def redis_server() -> Iterator[LocalRedis]:
    """One server for all tests that leave it running."""
    with LocalRedis() as server:
        yield server


@pytest.fixture
def client(redis_server: LocalRedis) -> Iterator[Redis]:
    """A client of an empty Redis."""
    with connect(redis_server.url) as redis:
        redis.flushall()
        yield redis


@pytest.fixture
def mortal_redis() -> Iterator[LocalRedis]:
    """A server of the test's own, to stop and start again."""
    with LocalRedis() as server:
        yield server


@pytest.fixture
def mortal_client(mortal_redis: LocalRedis) -> Iterator[Redis]:
    """A client of the test's own server."""
    with connect(mortal_redis.url) as redis:
        yield redis


@pytest.fixture
def as_deterministic_as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Takes back what `ance.training.determinism` changes in this process."""
    import torch  # not for the tests of a chart

    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    benchmark = torch.backends.cudnn.benchmark
    yield
    torch.use_deterministic_algorithms(False)
    torch.backends.cudnn.benchmark = benchmark


@pytest.fixture(scope="session")
def object_store() -> Iterator[Callable[[str], str]]:
    """Makes URLs of empty stores of a scheme: s3, gs or az.

    Its emulator starts with the first, for this process and the ones it starts, and ends with the session.
    """
    with ExitStack() as running:
        started: set[str] = set()

        def make(scheme: str) -> str:
            if scheme not in started:
                endpoint = running.enter_context(EMULATORS[scheme].serve())
                environment = running.enter_context(pytest.MonkeyPatch.context())
                for name, value in EMULATORS[scheme].environment(endpoint).items():
                    environment.setenv(name, value)
                started.add(scheme)
            return new_prefix(scheme)

        yield make


@pytest.fixture
def s3_url(object_store: Callable[[str], str]) -> str:
    """URL of an empty store on S3."""
    return object_store("s3")
