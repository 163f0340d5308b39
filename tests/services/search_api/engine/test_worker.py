import asyncio
import os
import sys
import threading

import pytest

from services.search_api.engine.worker import ShouldStop, Worker


def test_work_is_done_off_the_event_loop_one_after_the_other() -> None:
    async def main() -> None:
        worker = Worker("test")
        threads = await asyncio.gather(*(worker.run(lambda _: threading.get_ident()) for _ in range(5)))
        worker.close()
        assert set(threads) != {threading.get_ident()} and len(set(threads)) == 1

    asyncio.run(main())


def test_cancelling_tells_the_running_work_to_stop_and_drops_what_waits() -> None:
    async def main() -> None:
        worker = Worker("test")
        began, ended, started = threading.Event(), threading.Event(), []

        def long(should_stop: ShouldStop) -> None:
            began.set()
            while not should_stop():
                threading.Event().wait(0.001)
            ended.set()

        running = asyncio.create_task(worker.run(long))
        waiting = asyncio.create_task(worker.run(lambda _: started.append(1)))
        await asyncio.to_thread(began.wait, 10)
        for task in (waiting, running):
            task.cancel()
        await asyncio.gather(running, waiting, return_exceptions=True)
        assert await asyncio.to_thread(ended.wait, 10)
        await worker.run(lambda _: None)
        worker.close()
        assert started == []

    asyncio.run(main())


@pytest.mark.skipif(sys.platform != "linux", reason="niceness of a thread is Linux's")
def test_a_nice_worker_is_nicer_than_the_process_and_others_are_not() -> None:
    def niceness(_: ShouldStop) -> int:
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    async def main() -> tuple[int, int]:
        plain, nice = Worker("plain"), Worker("nice", nice=3)
        values = await plain.run(niceness), await nice.run(niceness)
        plain.close()
        nice.close()
        return values

    own = os.getpriority(os.PRIO_PROCESS, os.getpid())
    assert asyncio.run(main()) == (own, min(19, own + 3))
