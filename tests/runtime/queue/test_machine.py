"""Whatever happens to workers, coordinators and Redis, in any order: no task is lost, none is published twice."""

from __future__ import annotations

from collections import Counter
from tempfile import TemporaryDirectory

import hypothesis.strategies as st
from hypothesis import HealthCheck, settings
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)
from redis import Redis

from ance.runtime.contracts import Part
from ance.runtime.queue import TaskQueue
from ance.runtime.queue.keys import GROUP
from ance.runtime.queue.lease import TaskLease
from ance.runtime.store import Store
from tests.runtime.conftest import encode_task

WORKERS = ("a", "b", "c")
MAX_DELIVERIES = 2


def machine(client: Redis) -> type[RuleBasedStateMachine]:
    """The queue of one run under test, on a real Redis, with the store that its workers publish into."""

    class QueueMachine(RuleBasedStateMachine):
        leases = Bundle("leases")

        def __init__(self) -> None:
            super().__init__()
            client.flushall()
            self.folder = TemporaryDirectory()
            self.store = Store.open(self.folder.name, retry_seconds=0)
            self.queues = {name: TaskQueue(client, "demo", name, max_deliveries=MAX_DELIVERIES) for name in WORKERS}
            self.queue = self.queues["a"]
            self.wanted: dict[str, str] = {}
            """Where the result of each task belongs."""
            self.enqueued: Counter[str] = Counter()
            self.settled: Counter[str] = Counter()
            """How often a worker was told that it held the task it had finished."""
            self.published: dict[str, bytes] = {}
            """What was stored by those who were told that it was not there before."""
            self.deliveries = 0

        def teardown(self) -> None:
            self.folder.cleanup()

        @initialize(part=st.sampled_from(Part))
        def begin(self, part: Part) -> None:
            self.reconcile({0, 1, 2}, part)

        @rule(shards=st.sets(st.integers(0, 30), min_size=1, max_size=6), part=st.sampled_from(Part))
        def reconcile(self, shards: set[int], part: Part) -> None:
            """The coordinator enqueues what the store lacks."""
            tasks = [encode_task(shard, part) for shard in sorted(shards)]
            missing = [task for task in tasks if not self.store.exists(task.output_uri)]
            before = self.queue.outstanding() | self.dead()
            added = self.queue.enqueue(missing)
            assert set(added) == {task.id for task in missing} - before
            self.enqueued.update(added)
            self.wanted |= {task.id: task.output_uri for task in missing}

        @rule(target=leases, name=st.sampled_from(WORKERS))
        def take(self, name: str) -> object:
            lease = self.queues[name].take(0)
            if lease is None:
                assert self.queue.counts().waiting == 0
                return multiple()
            assert lease.attempt <= MAX_DELIVERIES
            return lease

        @rule(lease=leases)
        def store_the_result(self, lease: TaskLease) -> None:
            """As an inferencer does that may die before it reports, or has lost its lease without noticing."""
            self.deliveries += 1
            result = f"{lease.task.id} of delivery {self.deliveries}".encode()
            if self.store.write_new(lease.task.output_uri, result):
                assert lease.task.id not in self.published, "published twice"
                self.published[lease.task.id] = result

        @rule(lease=consumes(leases), times=st.integers(1, 2))
        def finish(self, lease: TaskLease, times: int) -> None:
            """Store the result and report it; once more, where the answer to the first report was lost."""
            self.store_the_result(lease)
            for _ in range(times):
                outstanding = self.queue.outstanding()
                held = lease.done({})
                self.settled[lease.task.id] += held
                assert self.queue.outstanding() == (outstanding - {lease.task.id} if held else outstanding)

        @rule(lease=consumes(leases))
        def fail(self, lease: TaskLease) -> None:
            lease.fail("boom")

        @rule(lease=consumes(leases))
        def hand_back(self, lease: TaskLease) -> None:
            lease.hand_back()

        @rule(lease=leases, stale=st.booleans())
        def run_out(self, lease: TaskLease, stale: bool) -> None:
            """Time passes: every lease runs out, unless it is renewed just in time."""
            self.let_leases_run_out()
            if not stale:
                lease.renew()

        @rule()
        def work_off(self) -> None:
            """Whoever had a task has died, and one worker is left: it gets them all, but for those that are dead."""
            self.let_leases_run_out()
            while (lease := self.queue.take(0)) is not None:
                self.finish(lease, times=1)
            assert not self.queue.outstanding()

        def let_leases_run_out(self) -> None:
            for stream in self.queue.keys.streams:
                for entry in client.xpending_range(stream, GROUP, "-", "+", 100):
                    client.xclaim(
                        stream,
                        GROUP,
                        entry["consumer"],
                        0,
                        [entry["message_id"]],
                        idle=3_600_000,
                        justid=True,
                    )

        @rule()
        def requeue_the_dead(self) -> None:
            self.enqueued.update(self.queue.dead_letters.requeue())

        @rule()
        def flush(self) -> None:
            """Redis restarts empty, the coordinator enqueues what is missing."""
            client.flushall()
            lost = [task_id for task_id, key in self.wanted.items() if not self.store.exists(key)]
            tasks = [encode_task(int(shard), Part(part)) for _, _, part, shard in map(split, lost)]
            added = self.queue.enqueue(tasks)
            assert sorted(added) == sorted(lost)
            self.enqueued.update(added)

        @invariant()
        def no_task_is_lost(self) -> None:
            """What the store lacks will be done, or a person is asked."""
            queued = self.queue.outstanding() | self.dead()
            missing = {task_id for task_id, key in self.wanted.items() if not self.store.exists(key)}
            assert missing <= queued <= self.wanted.keys()

        @invariant()
        def a_result_is_published_once_and_stays(self) -> None:
            """The store has what its first writer put there, and nothing that nobody was told of."""
            prefix = "runs/demo/embeddings"
            assert {key: self.store.read(key) for key in self.store.list(prefix)} == {
                self.wanted[task_id]: result for task_id, result in self.published.items()
            }

        @invariant()
        def a_task_is_settled_at_most_once_for_each_time_it_was_enqueued(self) -> None:
            assert self.settled <= self.enqueued

        @invariant()
        def what_is_reported_done_is_in_the_store(self) -> None:
            assert {record.task_id for record in self.queue.completions()} <= self.published.keys()

        @invariant()
        def a_task_is_queued_once(self) -> None:
            counts = self.queue.counts()
            assert counts.waiting + counts.pending == len(self.queue.outstanding())

        def dead(self) -> set[str]:
            return {letter.task_id for letter in self.queue.dead_letters}

    return QueueMachine


def split(task_id: str) -> list[str]:
    """Run, step, part and shard."""
    return task_id.split("/")


def test_the_queue_keeps_every_task(client: Redis) -> None:
    # Few examples: each step is a dozen round trips to Redis.
    few = settings(max_examples=40, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck))
    run_state_machine_as_test(machine(client), settings=few)
