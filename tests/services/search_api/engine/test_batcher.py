import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress

import pytest

from services.search_api.engine.batcher import Batcher, Job
from services.search_api.engine.worker import Worker

Work = Callable[[Sequence[Job[int, int]]], Sequence[int | Exception]]


@asynccontextmanager
async def batching(work: Work, *, budget: int = 100, wait_seconds: float = 0.0) -> AsyncIterator[Batcher[int, int]]:
    worker = Worker("test")
    batcher = Batcher(work, worker, budget=budget, wait_seconds=wait_seconds)
    serving = asyncio.create_task(batcher.serve())
    try:
        yield batcher
    finally:
        serving.cancel()
        with suppress(asyncio.CancelledError):
            await serving
        worker.close()


class Recorder:
    """Answers a request with its square, and remembers the batches. While it is held, it does not begin."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.go_on = threading.Event()
        self.go_on.set()

    def __call__(self, jobs: Sequence[Job[int, int]]) -> list[int | Exception]:
        self.batches.append([job.request for job in jobs])
        assert self.go_on.wait(10)
        return [job.request**2 for job in jobs]


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.001)


def test_what_arrives_while_the_worker_is_busy_is_answered_together() -> None:
    async def main() -> None:
        work = Recorder()
        async with batching(work) as batcher:
            work.go_on.clear()
            first = asyncio.create_task(batcher.submit(1, 1))
            await until(lambda: work.batches == [[1]])
            rest = [asyncio.create_task(batcher.submit(request, 1)) for request in (2, 3, 4)]
            await asyncio.sleep(0)
            work.go_on.set()
            assert await asyncio.gather(first, *rest) == [1, 4, 9, 16]
        assert work.batches == [[1], [2, 3, 4]]

    asyncio.run(main())


def test_a_batch_stays_within_the_budget_and_a_larger_request_goes_alone() -> None:
    async def main() -> None:
        work = Recorder()
        async with batching(work, budget=10) as batcher:
            work.go_on.clear()
            tasks = [asyncio.create_task(batcher.submit(0, 1))]
            await until(lambda: bool(work.batches))
            tasks += [asyncio.create_task(batcher.submit(cost, cost)) for cost in (6, 4, 1, 25, 3)]
            await asyncio.sleep(0)
            work.go_on.set()
            await asyncio.gather(*tasks)
        assert work.batches == [[0], [6, 4], [1], [25], [3]]

    asyncio.run(main())


def test_a_lone_client_never_waits_and_clients_that_come_together_stay_together() -> None:
    async def main() -> None:
        work = Recorder()
        async with batching(work, wait_seconds=5.0) as batcher:
            began = time.perf_counter()
            for request in range(20):
                await batcher.submit(request, 1)
            assert time.perf_counter() - began < 2  # far below one wait
            work.batches.clear()
            work.go_on.clear()
            held = asyncio.create_task(batcher.submit(0, 1))
            await until(lambda: work.batches == [[0]])
            pair = [asyncio.create_task(batcher.submit(request, 1)) for request in (1, 2)]
            await asyncio.sleep(0)
            work.go_on.set()
            await asyncio.gather(held, *pair)
            early = asyncio.create_task(batcher.submit(3, 1))
            await asyncio.sleep(0.05)
            await asyncio.gather(early, batcher.submit(4, 1))
        assert work.batches == [[0], [1, 2], [3, 4]]

    asyncio.run(main())


def test_the_wait_for_more_is_bounded() -> None:
    async def main() -> None:
        work = Recorder()
        async with batching(work, wait_seconds=0.05) as batcher:
            work.go_on.clear()
            held = asyncio.create_task(batcher.submit(0, 1))
            await until(lambda: work.batches == [[0]])
            pair = [asyncio.create_task(batcher.submit(request, 1)) for request in (1, 2)]
            await asyncio.sleep(0)
            work.go_on.set()
            await asyncio.gather(held, *pair)
            began = time.perf_counter()
            await batcher.submit(3, 1)
            assert 0.04 < time.perf_counter() - began < 3
        assert work.batches[-1] == [3]

    asyncio.run(main())


def test_a_request_whose_client_has_gone_is_not_worked_on() -> None:
    async def main() -> None:
        work = Recorder()
        async with batching(work) as batcher:
            work.go_on.clear()
            first = asyncio.create_task(batcher.submit(1, 1))
            await until(lambda: work.batches == [[1]])
            gone, stays = (asyncio.create_task(batcher.submit(request, 1)) for request in (2, 3))
            await asyncio.sleep(0)
            gone.cancel()
            await asyncio.sleep(0)
            work.go_on.set()
            assert await asyncio.gather(first, stays) == [1, 9]
        assert work.batches == [[1], [3]]

    asyncio.run(main())


def test_an_error_reaches_only_the_request_that_it_is_for() -> None:
    def work(jobs: Sequence[Job[int, int]]) -> list[int | Exception]:
        return [ValueError("odd") if job.request % 2 else job.request for job in jobs]

    async def main() -> None:
        async with batching(work) as batcher:
            with pytest.raises(ValueError, match="odd"):
                await batcher.submit(1, 1)
            assert await batcher.submit(2, 1) == 2

    asyncio.run(main())
