"""Dead letters: looked at, requeued, dropped."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest
from redis import Redis

from ance.runtime.queue import TaskQueue
from tests.runtime.conftest import encode_task


@pytest.fixture
def queue(worker: Callable[[str], TaskQueue]) -> TaskQueue:
    """A queue whose shards 0 and 1 are dead."""
    queue = worker("a")
    queue.enqueue([encode_task(0), encode_task(1)])
    for _ in range(6):
        lease = queue.take(0)
        assert lease is not None
        lease.fail("boom")
    assert len(queue.dead_letters) == queue.counts().dead == 2
    return queue


def test_letters_come_oldest_first(queue: TaskQueue) -> None:
    assert [letter.task_id for letter in queue.dead_letters] == ["demo/100/passages/0", "demo/100/passages/1"]


def test_a_dead_task_is_not_enqueued_again_by_the_coordinator(queue: TaskQueue) -> None:
    assert queue.enqueue([encode_task(0), encode_task(1)]) == []


def test_one_dead_task_is_requeued_with_a_fresh_count(queue: TaskQueue) -> None:
    assert queue.dead_letters.requeue("demo/100/passages/1") == ["demo/100/passages/1"]
    assert [letter.task_id for letter in queue.dead_letters] == ["demo/100/passages/0"]
    lease = queue.take(0)
    assert lease is not None
    assert lease.task == encode_task(1)
    assert lease.attempt == 1


def test_all_dead_tasks_are_requeued(queue: TaskQueue) -> None:
    assert len(queue.dead_letters.requeue()) == 2
    assert len(queue.dead_letters) == 0
    assert queue.counts().waiting == 2


def test_requeueing_an_unknown_task_does_nothing(queue: TaskQueue) -> None:
    assert queue.dead_letters.requeue("demo/100/passages/9") == []


def test_a_dropped_task_may_be_enqueued_again(queue: TaskQueue) -> None:
    assert queue.dead_letters.drop("demo/100/passages/0") == 1
    assert queue.enqueue([encode_task(0), encode_task(1)]) == ["demo/100/passages/0"]
    assert queue.dead_letters.drop() == 1
    assert queue.dead_letters.drop() == 0


def test_a_letter_that_holds_no_task_stays_and_says_so(
    worker: Callable[[str], TaskQueue], client: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    queue = worker("a")
    client.xadd(queue.keys.passages, {"v": "9", "id": "future"})
    queue.take(0)
    with caplog.at_level(logging.WARNING):
        assert queue.dead_letters.requeue() == []
    assert "dead letter future holds no task" in caplog.text
    assert len(queue.dead_letters) == 1
