import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from torch._dynamo.utils import counters

from ance.runtime.shutdown import Shutdown
from tests.services.service_run import ServiceRun, prepare_store

_numbers = itertools.count()

NewRun = Callable[..., ServiceRun]


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an encoder and a store that holds the data set `salad`."""
    return prepare_store(tmp_path_factory.mktemp("services"))


@pytest.fixture
def new_run(prepared: Path, tmp_path: Path) -> NewRun:
    """Makes runs in the shared store, each with a name of its own; arguments are sections of run.yaml."""

    def make(**sections: dict[str, object]) -> ServiceRun:
        return ServiceRun.create(prepared, f"run{next(_numbers)}", cache=tmp_path, **sections)

    return make


@pytest.fixture
def compiled_graphs() -> Iterator[Callable[[], int]]:
    """How many graphs torch.compile has made since the test began. Nothing is compiled at its start."""
    torch._dynamo.reset()
    counters.clear()
    yield lambda: int(counters["stats"]["unique_graphs"])
    torch._dynamo.reset()


@pytest.fixture
def shutdown() -> Iterator[Shutdown]:
    with Shutdown(signals=()) as shutdown:
        yield shutdown
