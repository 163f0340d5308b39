"""Dynamic batching: requests that arrive while the worker is busy are answered together."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Generic, TypeVar

from ance.runtime.tracing import TraceContext, current_context
from services.search_api.engine.worker import ShouldStop, Worker

Request = TypeVar("Request")
Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True, eq=False)
class Job(Generic[Request, Answer]):
    """A request that waits for its batch."""

    request: Request
    cost: int
    answer: asyncio.Future[Answer]
    arrived: float = field(default_factory=time.perf_counter)
    trace: TraceContext | None = field(default_factory=current_context)


class Batcher(Generic[Request, Answer]):
    """Gathers requests into batches for one worker.

    A batch leaves as soon as the worker is free and as many requests wait as the last batch had, or after
    `wait_seconds`: clients that got their answers together ask again together, and should not be split into one
    early bird and the rest. A lone client never waits.

    Args:
        work: from the waiting jobs to an answer, or an error, for each, in their order. Runs on the worker.
        budget: largest sum of costs of a batch. A request that costs more is a batch of its own.
        wait_seconds: see above.
    """

    def __init__(
        self,
        work: Callable[[Sequence[Job[Request, Answer]]], Sequence[Answer | Exception]],
        worker: Worker,
        *,
        budget: int,
        wait_seconds: float,
    ) -> None:
        self._work = work
        self._worker = worker
        self._budget = budget
        self._wait_seconds = wait_seconds
        self._waiting: deque[Job[Request, Answer]] = deque()
        self._arrived = asyncio.Event()
        self._last_size = 1

    async def submit(self, request: Request, cost: int) -> Answer:
        """The answer to one request. If the caller is cancelled, the request is dropped from the queue."""
        job: Job[Request, Answer] = Job(request, cost, asyncio.get_running_loop().create_future())
        self._waiting.append(job)
        self._arrived.set()
        return await job.answer

    async def serve(self) -> None:
        """Answer batch after batch until cancelled."""
        while True:
            await self._gather()
            batch = self._take()
            if batch:
                self._last_size = len(batch)
                answers = await self._worker.run(partial(self._answer, batch))
                for job, answer in zip(batch, answers, strict=True):
                    _settle(job.answer, answer)

    def _answer(self, batch: list[Job[Request, Answer]], _: ShouldStop) -> Sequence[Answer | Exception]:
        return self._work(batch)

    async def _gather(self) -> None:
        """Wait for a first request, and a little for as many as the last batch had."""
        while not self._waiting:
            await self._next_arrival()
        deadline = asyncio.get_running_loop().time() + self._wait_seconds
        try:
            async with asyncio.timeout_at(deadline):
                while len(self._waiting) < self._last_size:
                    await self._next_arrival()
        except TimeoutError:
            return

    async def _next_arrival(self) -> None:
        self._arrived.clear()
        await self._arrived.wait()

    def _take(self) -> list[Job[Request, Answer]]:
        batch: list[Job[Request, Answer]] = []
        cost = 0
        while self._waiting and (not batch or cost + self._waiting[0].cost <= self._budget):
            job = self._waiting.popleft()
            if not job.answer.done():  # the client has gone
                batch.append(job)
                cost += job.cost
        return batch


def _settle(future: asyncio.Future[Answer], answer: Answer | Exception) -> None:
    if future.done():
        return
    if isinstance(answer, Exception):
        future.set_exception(answer)
    else:
        future.set_result(answer)
