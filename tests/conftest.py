"""A real redis-server for every test that needs one, an object store, and which tests share a worker."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from redis import Redis
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from ance.runtime.local_redis import LocalRedis
from ance.runtime.redis_client import connect
from tests.object_stores import CREDENTIALS, new_prefix, s3_server

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


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    """An S3 server for this process and the ones it starts: s3fs finds it as it finds any, by the environment."""
    with s3_server() as endpoint, pytest.MonkeyPatch.context() as environment:
        for name, value in {**CREDENTIALS, "AWS_ENDPOINT_URL": endpoint}.items():
            environment.setenv(name, value)
        yield endpoint


@pytest.fixture
def s3_url(s3_endpoint: str) -> str:
    """URL of an empty store in it."""
    return new_prefix()
