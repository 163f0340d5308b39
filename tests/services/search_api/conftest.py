from collections.abc import Iterator
from pathlib import Path

import pytest

from ance.runtime.metrics import SearchMetrics
from services.search_api.app import create_app
from tests.services.search_api.live import Live, serving
from tests.services.search_api.tiny_run import WORDS, TinyRun
from tests.system.tiny import write_encoder


@pytest.fixture(scope="session")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_encoder(tmp_path_factory.mktemp("encoder") / "bert", ["the", *WORDS])


@pytest.fixture(scope="session")
def fresh(tmp_path_factory: pytest.TempPathFactory, encoder: Path) -> TinyRun:
    """A run before its first version, made once: preparing the data set is the slow part."""
    return TinyRun.create(tmp_path_factory.mktemp("fresh"), encoder)


@pytest.fixture
def run(tmp_path: Path, fresh: TinyRun) -> TinyRun:
    return fresh.copy(tmp_path)


@pytest.fixture
def metrics() -> SearchMetrics:
    return SearchMetrics()


@pytest.fixture
def live(run: TinyRun, metrics: SearchMetrics) -> Iterator[Live]:
    """The service of `run` on a loopback port, looking at the pointer every 20 ms."""
    with serving(lambda draining: create_app(run.open(poll_seconds=0.02), metrics, draining)) as live:
        yield live


@pytest.fixture(scope="package")
def ready(tmp_path_factory: pytest.TempPathFactory, fresh: TinyRun) -> Iterator[tuple[Live, TinyRun]]:
    """A service that has all it can have: versions 1 and 2, BM25, a reranker. Tests only read from it."""
    run = fresh.copy(tmp_path_factory.mktemp("ready"))
    run.publish(1)
    run.publish_reranker(1)
    with serving(lambda draining: create_app(run.open(poll_seconds=0.02), SearchMetrics(), draining)) as live:
        live.wait_for_version(1)
        run.publish(2)
        live.wait_for_version(2)
        live.wait_for_modes()
        yield live, run
