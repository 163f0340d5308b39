"""When a heartbeat calls a lease lost, and when it does not."""

from __future__ import annotations

import threading
import time

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from ance.runtime.heartbeat import Heartbeat

TTL = 0.3


def test_it_renews_at_once_and_every_third_of_the_time_to_live() -> None:
    renewals: list[float] = []
    heartbeat = Heartbeat(lambda: not renewals.append(time.monotonic()), TTL, threading.Event(), "it")
    heartbeat.start()
    time.sleep(0.9 * TTL)
    heartbeat.stop()
    assert 2 <= len(renewals) <= 3


def test_a_refusal_loses_the_lease_at_once() -> None:
    lost = threading.Event()
    heartbeat = Heartbeat(lambda: False, 60, lost, "it")
    heartbeat.start()
    assert lost.wait(1)
    heartbeat.stop()


def test_an_outage_shorter_than_the_time_to_live_loses_nothing() -> None:
    lost = threading.Event()
    answers = iter([True, RedisConnectionError("away")])

    def renew() -> bool:
        answer = next(answers, True)
        if isinstance(answer, Exception):
            raise answer
        return answer

    heartbeat = Heartbeat(renew, TTL, lost, "it")
    heartbeat.start()
    assert not lost.wait(2 * TTL)
    heartbeat.stop()


@pytest.mark.parametrize("hangs", [True, False])
def test_it_is_lost_in_time_even_while_a_renewal_hangs(hangs: bool) -> None:
    lost, release = threading.Event(), threading.Event()

    def renew() -> bool:
        if hangs:
            release.wait(5)
        raise RedisConnectionError("away")

    heartbeat = Heartbeat(renew, TTL, lost, "it")
    started = time.monotonic()
    heartbeat.start()
    assert lost.wait(2)
    assert TTL * 0.9 < time.monotonic() - started < TTL + 0.3
    release.set()
    heartbeat.stop()


def test_nothing_is_renewed_after_the_stop() -> None:
    renewals: list[float] = []
    heartbeat = Heartbeat(lambda: not renewals.append(0.0), 0.03, threading.Event(), "it")
    heartbeat.start()
    heartbeat.stop()
    heartbeat.stop()
    before = len(renewals)
    time.sleep(0.05)
    assert len(renewals) == before
