"""What the tests of the runtime share."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
from redis import Redis

from ance.runtime.contracts import EncodeTask, Part, ScoreTask
from ance.runtime.queue import TaskQueue
from ance.runtime.store import Store
from tests.object_stores import EMULATORS
from tests.runtime.tls import Authority

LEASE_SECONDS = 0.3


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Signs the certificates of a module's tests."""
    return Authority(tmp_path_factory.mktemp("tls") / "authority")


@pytest.fixture
def worker(client: Redis) -> Callable[..., TaskQueue]:
    """Makes the queue of run `demo` as a named worker sees it, with short leases unless it is told."""

    def make(name: str, lease_seconds: float = LEASE_SECONDS) -> TaskQueue:
        return TaskQueue(client, "demo", name, lease_seconds=lease_seconds, max_deliveries=3)

    return make


@pytest.fixture(params=["file", "memory", *EMULATORS])
def store(request: pytest.FixtureRequest, object_store: Callable[[str], str], tmp_path: Path) -> Store:
    """Every backend keeps the same promises."""
    match request.param:
        case "file":
            url = f"file://{tmp_path}"
        case "memory":
            url = f"memory://{uuid.uuid4().hex}"
        case _:
            url = object_store(request.param)
    return Store.open(url, retry_seconds=0)


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


def score_task(shard: int, step: int = 100) -> ScoreTask:
    """A scoring task of run `demo`."""
    return ScoreTask(
        run_id="demo",
        step=step,
        shard=shard,
        pairs_uri=f"runs/demo/scores/{step}/parts/{shard}.pairs.npy",
        pairs_sha256=f"{shard:064x}",
        size=7,
        teacher_uri="runs/demo/teacher/manifest.json",
        teacher_sha256="0" * 64,
        output_uri=f"runs/demo/scores/{step}/parts/{shard}.scores.npy",
    )


def wait_until(condition: Callable[[], bool], seconds: float = 5.0) -> bool:
    """Whether the condition came true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True
