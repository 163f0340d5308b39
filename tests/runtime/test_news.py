"""News of published indexes."""

from __future__ import annotations

import queue
import time

import pytest
from redis import Redis

from ance.runtime.news import NewsListener, channel, spread
from ance.runtime.redis.address import RedisAddress
from ance.runtime.redis.local_server import LocalRedis

SECONDS = 10.0


def listeners(client: Redis, run_id: str = "demo") -> int:
    return int(client.pubsub_numsub(channel(run_id))[0][1])


def test_a_listener_hears_that_it_listens_and_then_all_news_of_its_run(redis_server: LocalRedis, client: Redis) -> None:
    heard: queue.Queue[str] = queue.Queue()
    with NewsListener(RedisAddress(redis_server.url), "demo", lambda: heard.put("news")):
        heard.get(timeout=SECONDS)
        assert listeners(client) == 1
        spread(client, "another", 5)
        spread(client, "demo", 5)
        heard.get(timeout=SECONDS)
        with pytest.raises(queue.Empty):
            heard.get(timeout=0.3)
    deadline = time.monotonic() + SECONDS
    while listeners(client) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not listeners(client)


def test_it_listens_again_after_a_restart_of_redis(mortal_redis: LocalRedis, mortal_client: Redis) -> None:
    heard: queue.Queue[str] = queue.Queue()
    with NewsListener(RedisAddress(mortal_redis.url), "demo", lambda: heard.put("news")):
        heard.get(timeout=SECONDS)
        mortal_redis.stop()
        mortal_redis.start()
        deadline = time.monotonic() + SECONDS
        while not listeners(mortal_client) and time.monotonic() < deadline:
            time.sleep(0.01)
        while not heard.empty():
            heard.get()
        spread(mortal_client, "demo", 7)
        heard.get(timeout=SECONDS)


def test_refused_credentials_are_said_once_and_change_nothing_else(
    mortal_redis: LocalRedis, mortal_client: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    mortal_client.config_set("requirepass", "right")
    with NewsListener(RedisAddress(mortal_redis.url, password="wrong"), "demo", lambda: None) as listener:
        listener._thread.join(SECONDS)
    assert [record.message.split(":")[0] for record in caplog.records if record.name == "ance.runtime.news"] == [
        "versions are found by looking at the store only, Redis tells nothing"
    ]


def test_news_that_cannot_be_spread_is_no_error(mortal_redis: LocalRedis, mortal_client: Redis) -> None:
    mortal_client.acl_setuser("default", enabled=True, nopass=True, commands=["+@all", "-publish"], keys=["*"])
    spread(mortal_client, "demo", 7)
    mortal_redis.stop()
    spread(mortal_client, "demo", 7)
