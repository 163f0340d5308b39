"""A thread that looks again and again."""

import logging
import os
import threading

import pytest

from services.search_api.versions.poller import Poller


def test_a_look_that_fails_is_told_and_is_not_the_last(caplog: pytest.LogCaptureFixture) -> None:
    looks = 0
    looked = threading.Event()

    def look() -> None:
        nonlocal looks
        looks += 1
        if looks == 1:
            raise ZeroDivisionError("a bug")
        looked.set()

    poller = Poller("index-follower", look, 0.01)
    with caplog.at_level(logging.ERROR):
        poller.start()
        assert looked.wait(10)
        poller.stop()
    (record,) = caplog.records
    assert record.message == "index-follower: this look failed, the next one is in 0.01 s"
    assert record.exc_info is not None and record.exc_info[0] is ZeroDivisionError


def test_it_gives_way_to_searches_when_it_is_told_to() -> None:
    nice: list[int] = []
    looked = threading.Event()

    def look() -> None:
        nice.append(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))
        poller.give_way()
        if len(nice) > 1:
            looked.set()

    poller = Poller("index-follower", look, 0.01)
    mine = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    poller.give_way()  # of another thread: says nothing
    poller.start()
    assert looked.wait(10)
    poller.stop()
    assert nice[:2] == [mine, min(19, mine + 10)]
    assert os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) == mine
