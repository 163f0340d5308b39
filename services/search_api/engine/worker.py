"""A thread for one kind of work, so that the event loop never waits for tensors or files."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")

NICE = 10
"""Niceness of what may wait while searches cannot: reading pairs, and loading what comes next."""

ShouldStop = Callable[[], bool]
"""Whether whoever asked has gone. Long work asks it now and then."""


class Worker:
    """Does one thing after the other on one thread.

    Args:
        name: of the thread.
        nice: added to the thread's niceness, and so to that of the threads which its libraries start: work with
            a higher one gets the processor only when the rest has no use for it.
    """

    def __init__(self, name: str, nice: int = 0) -> None:
        self._pool = ThreadPoolExecutor(
            max_workers=1, thread_name_prefix=name, initializer=lower_priority, initargs=(nice,)
        )

    async def run(self, work: Callable[[ShouldStop], T]) -> T:
        """Do `work` when its turn comes. If the caller is cancelled, it is not started, or told to stop."""
        gone = threading.Event()
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, work, gone.is_set)
        except asyncio.CancelledError:
            gone.set()
            raise

    def close(self) -> None:
        """Finish what is being done and drop what waits."""
        self._pool.shutdown(cancel_futures=True)


def lower_priority(nice: int) -> None:
    """Make the calling thread nicer than the process, where niceness is each thread's own: on Linux."""
    if nice and sys.platform == "linux":
        niceness = min(19, os.getpriority(os.PRIO_PROCESS, os.getpid()) + nice)
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), niceness)
