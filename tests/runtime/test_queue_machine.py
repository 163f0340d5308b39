"""Whatever happens to workers, coordinators and Redis, in any order: no task is lost, none is forged."""

from __future__ import annotations

import hypothesis.strategies as st
from hypothesis import HealthCheck, settings
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)
from redis import Redis

from ance.runtime.contracts import Part
from ance.runtime.queue import TaskQueue
from ance.runtime.queue_keys import GROUP
from ance.runtime.task_lease import TaskLease

from .conftest import encode_task

WORKERS = ("a", "b", "c")
MAX_DELIVERIES = 2


def machine(client: Redis) -> type[RuleBasedStateMachine]:
    """The queue of one run under test, on a real Redis."""

    class QueueMachine(RuleBasedStateMachine):
        leases = Bundle("leases")

        def __init__(self) -> None:
            super().__init__()
            client.flushall()
            self.queues = {name: TaskQueue(client, "demo", name, max_deliveries=MAX_DELIVERIES) for name in WORKERS}
            self.queue = self.queues["a"]
            self.wanted: set[str] = set()
            self.done: list[str] = []
            self.deliveries: list[str] = []

        @rule(shards=st.sets(st.integers(0, 5)), part=st.sampled_from(Part))
        def reconcile(self, shards: set[int], part: Part) -> None:
            """The coordinator enqueues what the store lacks."""
            tasks = [encode_task(shard, part) for shard in sorted(shards)]
            missing = [task for task in tasks if task.id not in self.done]
            before = self.queue.outstanding()
            added = self.queue.enqueue(missing)
            assert not before & set(added)
            self.wanted |= {task.id for task in missing}

        @rule(target=leases, name=st.sampled_from(WORKERS))
        def take(self, name: str) -> object:
            lease = self.queues[name].take(0)
            if lease is None:
                assert self.queue.counts().waiting == 0
                return multiple()
            assert lease.attempt <= MAX_DELIVERIES
            self.deliveries.append(lease.task.id)
            return lease

        @rule(lease=consumes(leases))
        def finish(self, lease: TaskLease) -> None:
            lease.done({})
            self.done.append(lease.task.id)

        @rule(lease=consumes(leases))
        def fail(self, lease: TaskLease) -> None:
            lease.fail("boom")

        @rule(lease=consumes(leases))
        def hand_back(self, lease: TaskLease) -> None:
            lease.hand_back()

        @rule(lease=leases, stale=st.booleans())
        def run_out(self, lease: TaskLease, stale: bool) -> None:
            """Time passes: every lease runs out, unless it is renewed just in time."""
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
            if not stale:
                lease.renew()

        @rule()
        def requeue_the_dead(self) -> None:
            self.queue.dead_letters.requeue()

        @rule()
        def flush(self) -> None:
            """Redis restarts empty, the coordinator enqueues what is missing."""
            client.flushall()
            lost = [task_id for task_id in self.wanted if task_id not in self.done]
            tasks = [encode_task(int(shard), Part(part)) for _, _, part, shard in map(split, lost)]
            assert sorted(self.queue.enqueue(tasks)) == sorted(lost)

        @invariant()
        def no_task_is_lost(self) -> None:
            dead = {letter.task_id for letter in self.queue.dead_letters}
            assert self.wanted == self.queue.outstanding() | dead | set(self.done)

        @invariant()
        def a_task_is_queued_once(self) -> None:
            counts = self.queue.counts()
            assert counts.waiting + counts.pending == len(self.queue.outstanding())

        @invariant()
        def no_task_is_completed_more_often_than_it_was_delivered(self) -> None:
            assert all(self.done.count(task_id) <= self.deliveries.count(task_id) for task_id in self.done)

    return QueueMachine


def split(task_id: str) -> list[str]:
    """Run, step, part and shard."""
    return task_id.split("/")


def test_the_queue_keeps_every_task(client: Redis) -> None:
    # Few examples: each step is a dozen round trips to Redis.
    few = settings(max_examples=15, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck))
    run_state_machine_as_test(machine(client), settings=few)
