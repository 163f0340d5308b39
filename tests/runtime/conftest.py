"""A real redis-server for the tests of the runtime."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest
from redis import Redis

from ance.runtime.contracts import EncodeTask, Part
from ance.runtime.local_redis import LocalRedis
from ance.runtime.queue import TaskQueue
from ance.runtime.redis_client import connect

LEASE_SECONDS = 0.3


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
def worker(client: Redis) -> Callable[[str], TaskQueue]:
    """Makes the queue of run `demo` as a named worker sees it, with short leases."""

    def make(name: str) -> TaskQueue:
        return TaskQueue(client, "demo", name, lease_seconds=LEASE_SECONDS, max_deliveries=3)

    return make


def encode_task(shard: int, part: Part = Part.PASSAGES, step: int = 100) -> EncodeTask:
    """An encode task of run `demo`."""
    return EncodeTask(
        run_id="demo",
        step=step,
        part=part,
        shard=shard,
        start=shard * 10,
        stop=shard * 10 + 10,
        checkpoint_uri=f"runs/demo/checkpoints/{step}/manifest.json",
        checkpoint_sha256="0" * 64,
        output_uri=f"runs/demo/embeddings/{step}/{part}/{shard:05d}.npy",
    )


def wait_until(condition: Callable[[], bool], seconds: float = 5.0) -> bool:
    """Whether the condition came true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True
