"""`ance queue` against a real Redis."""

from collections.abc import Iterator

import pytest

from ance.cli.stack import free_port
from ance.runtime.contracts import EncodeTask, Part
from ance.runtime.queue import TaskQueue
from ance.runtime.redis.client import connect
from ance.runtime.redis.local_server import LocalRedis
from tests.cli.conftest import Ance, Ended

TASKS = [
    EncodeTask(
        run_id="demo",
        step=100,
        part=Part.PASSAGES,
        shard=shard,
        start=shard * 10,
        stop=shard * 10 + 10,
        checkpoint_uri="runs/demo/checkpoints/100/manifest.json",
        checkpoint_sha256="0" * 64,
        output_uri=f"runs/demo/embeddings/100/passages/{shard}.npy",
    )
    for shard in range(3)
]


@pytest.fixture(scope="module")
def server() -> Iterator[LocalRedis]:
    with LocalRedis() as server:
        yield server


@pytest.fixture
def queue(server: LocalRedis) -> Iterator[TaskQueue]:
    """A queue with one task waiting, one in a worker's hands and one dead."""
    with connect(server.url) as client:
        client.flushall()
        queue = TaskQueue(client, "demo", "worker-7", max_deliveries=1)
        queue.enqueue(TASKS[:1])
        lease = queue.take()
        assert lease is not None
        lease.fail("disk full:\nno space")
        queue.enqueue(TASKS[1:])
        held = queue.take()
        assert held is not None
        yield queue
        held.hand_back()


@pytest.fixture
def ask(ance: Ance, server: LocalRedis) -> Ance:
    """Runs `ance queue` on the run `demo`."""

    def run(*arguments: str) -> Ended:
        return ance("queue", *arguments, "--run", "demo", "--redis-url", server.url)

    return run


@pytest.mark.usefixtures("queue")
def test_the_status_counts_waiting_pending_and_dead_tasks(ask: Ance) -> None:
    assert ask("status").out == "waiting 1, pending 1, dead 1, oldest 0 s\n"


@pytest.mark.usefixtures("queue")
def test_a_dead_task_is_listed_on_one_line_with_who_failed_and_why(ask: Ance) -> None:
    shown = ask("dead", "list").out
    assert shown == f"{TASKS[0].id}  attempts 1  last worker worker-7  disk full: no space\n"


@pytest.mark.parametrize("which", [TASKS[0].id, "all"])
def test_dead_tasks_are_put_back(ask: Ance, queue: TaskQueue, which: str) -> None:
    assert ask("dead", "requeue", which).out == "put back: 1\n"
    assert queue.counts().dead == 0 and TASKS[0].id in queue.outstanding()


@pytest.mark.parametrize("which", [TASKS[0].id, "all"])
def test_dead_tasks_are_dropped(ask: Ance, queue: TaskQueue, which: str) -> None:
    assert ask("dead", "drop", which).out == "dropped: 1\n"
    assert queue.counts().dead == 0 and TASKS[0].id not in queue.outstanding()


@pytest.mark.usefixtures("queue")
@pytest.mark.parametrize("command", ["requeue", "drop"])
def test_a_task_that_is_not_dead_is_an_error(ask: Ance, command: str) -> None:
    assert ask("dead", command, TASKS[1].id).error.startswith(f"run 'demo' has no dead task '{TASKS[1].id}'")


def test_a_run_without_tasks_has_an_empty_queue(ance: Ance, server: LocalRedis) -> None:
    ended = ance("queue", "status", "--run", "idle", "--redis-url", server.url)
    assert ended.out == "waiting 0, pending 0, dead 0, oldest 0 s\n"


def test_a_redis_that_does_not_answer_is_said_soon(ance: Ance, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ance.cli.queue.GRACE_SECONDS", 0.1)
    url = f"redis://127.0.0.1:{free_port()}/0"
    ended = ance("queue", "status", "--run", "demo", "--redis-url", url)
    assert ended.status == 75
    assert f"ance: error: redis at {url} does not answer" in ended.err
