"""The work queue against a plain loop over a Redis stream: tasks a second, from enqueued to reported.

One worker in this process, on the same Redis, with tasks that do nothing. The plain loop reads and acknowledges an
entry and nothing else: a task may be enqueued twice, no lease is renewed, abandoned tasks stay, nothing is reported.
The ratio is what those promises cost; a task takes half a minute or more to encode, so milliseconds do no harm.

python -m benchmarks.queue [--tasks 2000] [--pairs 5] [--json]
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

from redis import Redis

from ance.runtime.contracts import EncodeTask, Part
from ance.runtime.queue import TaskQueue
from ance.runtime.redis.client import connect
from ance.runtime.redis.local_server import LocalRedis
from benchmarks.harness import Result, machine, paired
from benchmarks.options import parser

GOAL = 0.2
STREAM, GROUP = "plain", "workers"


def main(arguments: Sequence[str] | None = None) -> Result:
    """Measure, print, and return the result. The figures are tasks a second."""
    command_line = parser("queue", __doc__)
    command_line.add_argument("--tasks", type=int, default=2000)
    command_line.add_argument("--pairs", type=int, default=5)
    options = command_line.parse_args(arguments)
    tasks = [task(number) for number in range(options.tasks)]
    with LocalRedis() as server, connect(server.url) as client:
        pairs = paired(
            emptied(client, lambda: work_off(client, tasks)),
            emptied(client, lambda: work_off_plain(client, tasks)),
            options.pairs,
        )
    rates = {"ours": len(tasks) / median(pairs.ours), "theirs": len(tasks) / median(pairs.theirs)}
    result = Result(
        name="queue",
        peer="a plain XREADGROUP loop",
        ours=rates["ours"],
        theirs=rates["theirs"],
        ratio=pairs.speedup,
        goal=GOAL,
        holds=pairs.speedup >= GOAL,
        n=options.pairs,
        spread=pairs.spread,
        machine=machine(),
        details={"unit": "tasks/s", "tasks": len(tasks), "milliseconds_a_task": 1000 / rates["ours"]},
    )
    print(result.to_json() if options.json else result.line())
    return result


def emptied(client: Redis, work: Callable[[], None]) -> Callable[[], None]:
    """The work, on an empty Redis."""

    def run() -> None:
        client.flushall()
        work()

    return run


def work_off(client: Redis, tasks: list[EncodeTask]) -> None:
    """Enqueue all tasks, take each under a lease, report it, and see all reports."""
    queue = TaskQueue(client, "bench", "worker")
    queue.enqueue(tasks)
    for _ in tasks:
        lease = queue.take(0)
        assert lease is not None
        with lease:
            lease.done({"rows": "0"})
    assert len(queue.completions(limit=len(tasks))) == len(tasks)


def work_off_plain(client: Redis, tasks: list[EncodeTask]) -> None:
    """The least that a consumer group can do."""
    client.xgroup_create(STREAM, GROUP, id="0", mkstream=True)
    with client.pipeline(transaction=False) as pipeline:
        for one in tasks:
            pipeline.xadd(STREAM, {"task": one.model_dump_json()})
        pipeline.execute()
    for _ in tasks:
        reply: Any = client.xreadgroup(GROUP, "worker", {STREAM: ">"}, count=1)
        ((_, ((entry, fields),)),) = reply
        EncodeTask.model_validate_json(fields["task"])
        client.xack(STREAM, GROUP, entry)


def task(number: int) -> EncodeTask:
    """An encode task like any other."""
    return EncodeTask(
        run_id="bench",
        step=1,
        part=Part.PASSAGES,
        shard=number,
        start=number,
        stop=number + 1,
        checkpoint_uri="runs/bench/checkpoints/1/manifest.json",
        checkpoint_sha256="0" * 64,
        output_uri=f"runs/bench/embeddings/1/passages/{number}.npy",
    )


if __name__ == "__main__":
    main()
