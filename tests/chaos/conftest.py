"""A run of a thousand tiny shards, its checkpoint, and the vectors that undisturbed workers would give."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest
import yaml

from ance.runtime.contracts import ArtifactRef
from ance.runtime.redis.local_server import LocalRedis
from tests.chaos.clock import Clock
from tests.chaos.faults import Faults
from tests.chaos.processes import Conditions, Fleet
from tests.services.service_run import ServiceRun, prepare_store

STEP = 80
PASSAGES = 880
"""With the queries, a thousand rows."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--times", type=int, default=1, help="how often to run the suite, each time with other faults")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    metafunc.parametrize("repetition", range(metafunc.config.getoption("times", 1)), indirect=True, scope="session")


@pytest.fixture(scope="session", autouse=True)
def repetition(request: pytest.FixtureRequest) -> int:
    """Which run of the suite this is, from 0: seeds depend on it."""
    return int(request.param)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "chaos: processes, Redis and the store die on the way")


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An encoder, and a store with the data set `salad`."""
    return prepare_store(tmp_path_factory.mktemp("chaos"), PASSAGES)


@pytest.fixture
def redis() -> Iterator[LocalRedis]:
    with LocalRedis() as server:
        yield server


class Reachable(Protocol):
    """A Redis, whatever stands behind it."""

    @property
    def url(self) -> str: ...


def environment(run: ServiceRun, redis: Reachable) -> dict[str, str]:
    """What the processes are told."""
    return {
        "ANCE_STORE": run.store.url,
        "ANCE_RUN": run.config.run,
        "ANCE_REDIS_URL": redis.url,
        "ANCE_CACHE_DIR": str(run.cache),
        "ANCE_METRICS_PORT": "0",
        "ANCE_LOG_FORMAT": "text",
        "ANCE_THREADS": "1",
        "ANCE_POLL_SECONDS": "0.5",
        "ANCE_LEASE_SECONDS": "3",
        "ANCE_LEADER_SECONDS": "3",
        "ANCE_RECONCILE_SECONDS": "2",
        "HF_HUB_OFFLINE": "1",
    }


@pytest.fixture
def fleets() -> Iterator[list[Fleet]]:
    """Fleets put here are stopped at the end."""
    fleets: list[Fleet] = []
    yield fleets
    for fleet in fleets:
        fleet.stop()


def conditions(
    tmp_path: Path,
    run: ServiceRun,
    redis: Reachable,
    faults: Faults | None = None,
    poison: Path | None = None,
    clock: Clock | None = None,
    **variables: str,
) -> Conditions:
    """Conditions of a test whose logs go to its own folder; `variables` win over those of `environment`."""
    return Conditions(tmp_path, environment(run, redis) | variables, faults, poison, clock)


def new_run(world: Path, tmp_path: Path, name: str, shard_size: int) -> tuple[ServiceRun, ArtifactRef]:
    """A run that has its last checkpoint, and no vector yet."""
    run = ServiceRun.create(world, name, cache=tmp_path / "cache", encoding={"shard_size": shard_size})
    run.cache.mkdir(exist_ok=True)
    run.store.write(run.layout.run_yaml, yaml.safe_dump(run.config.model_dump(mode="json")).encode())
    return run, run.publish_checkpoint(STEP, final=True)
