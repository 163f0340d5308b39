import os
import signal
import threading
import time
from collections.abc import Callable

import pytest

from ance.runtime.shutdown import Shutdown


def soon(action: Callable[[], None]) -> threading.Timer:
    timer = threading.Timer(0.05, action)
    timer.start()
    return timer


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_is_a_request_to_stop(number: signal.Signals) -> None:
    with Shutdown() as shutdown:
        assert not shutdown.requested
        assert not shutdown()
        os.kill(os.getpid(), number)
        assert shutdown.requested
        assert shutdown()


def test_a_signal_ends_a_wait_of_the_main_thread() -> None:
    with Shutdown() as shutdown:
        started = time.monotonic()
        timer = soon(lambda: os.kill(os.getpid(), signal.SIGTERM))
        assert shutdown.wait(10)
        assert time.monotonic() - started < 5
        timer.join()


def test_a_request_ends_the_waits_of_all_threads_and_every_later_one() -> None:
    results = []
    with Shutdown(signals=()) as shutdown:
        threads = [threading.Thread(target=lambda: results.append(shutdown.wait(10))) for _ in range(3)]
        for thread in threads:
            thread.start()
        shutdown.request()
        for thread in threads:
            thread.join()
        assert results == [True, True, True]
        assert shutdown.wait(10)


def test_a_wait_without_a_request_lasts_its_time() -> None:
    with Shutdown() as shutdown:
        started = time.monotonic()
        assert not shutdown.wait(0.05)
        assert time.monotonic() - started >= 0.04
        assert not shutdown.wait(-1)


def test_a_second_interrupt_meets_the_handler_of_before() -> None:
    # A shell starts its background jobs with SIGINT ignored.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        _interrupt_twice()
    finally:
        signal.signal(signal.SIGINT, before)


def _interrupt_twice() -> None:
    with Shutdown() as shutdown:
        os.kill(os.getpid(), signal.SIGINT)
        assert shutdown.requested
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(1)


def test_leaving_restores_the_handlers() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    with Shutdown():
        assert signal.getsignal(signal.SIGTERM) is not before[0]
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] == before


def test_closing_twice_is_harmless() -> None:
    shutdown = Shutdown()
    shutdown.close()
    shutdown.close()


def test_the_time_since_the_request_counts_from_the_first_one() -> None:
    with Shutdown(signals=()) as shutdown:
        assert shutdown.seconds_ago == 0
        shutdown.request()
        time.sleep(0.05)
        shutdown.request()
        assert 0.05 <= shutdown.seconds_ago < 5
