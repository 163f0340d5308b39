"""Connecting to Redis, and staying connected."""

from __future__ import annotations

import subprocess
import threading
import time
from pathlib import Path

import pytest
from redis import Redis
from redis.exceptions import ReadOnlyError

from ance.errors import AnceError
from ance.runtime.redis.client import connect
from ance.runtime.redis.local_server import LocalRedis, find_server


def test_a_client_speaks_strings(client: Redis) -> None:
    client.set("key", "value")
    assert client.get("key") == "value"


def test_commands_survive_a_restart_of_redis(mortal_redis: LocalRedis, mortal_client: Redis) -> None:
    mortal_client.set("key", "value")
    mortal_redis.stop()
    mortal_redis.start()
    assert mortal_client.get("key") is None


def test_connecting_waits_for_a_redis_that_starts_late(mortal_redis: LocalRedis) -> None:
    mortal_redis.stop()
    timer = threading.Timer(0.2, mortal_redis.start)
    timer.start()
    with connect(mortal_redis.url, grace_seconds=10) as client:
        assert client.ping()
    timer.join()


def test_an_unreachable_redis_is_an_error_that_says_what_to_do(mortal_redis: LocalRedis) -> None:
    mortal_redis.stop()
    with pytest.raises(AnceError, match=r"does not answer after 0 s .*start it, or correct ANCE_REDIS_URL"):
        connect(f"redis://user:secret@127.0.0.1:{mortal_redis.port}/0", grace_seconds=0)


def test_a_refused_password_is_an_error_at_once_that_does_not_show_it(
    mortal_redis: LocalRedis, mortal_client: Redis
) -> None:
    mortal_client.config_set("requirepass", "right")
    started = time.monotonic()
    with pytest.raises(AnceError, match="refuses the user or password") as failure:
        connect(f"redis://:wrong@127.0.0.1:{mortal_redis.port}/0")
    assert "wrong" not in str(failure.value)
    assert time.monotonic() - started < 10


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://localhost", "scheme"),
        ("redis+sentinel://localhost/mymaster", "not host:port"),
        ("redis+sentinel://localhost:26379", "name the master"),
    ],
)
def test_a_url_that_is_not_valid_is_an_error_that_says_why(url: str, reason: str) -> None:
    with pytest.raises(AnceError, match=reason):
        connect(url)


@pytest.mark.parametrize("way", ["command", "script"])
def test_a_write_to_a_demoted_master_is_retried_until_there_is_a_master(
    mortal_redis: LocalRedis, mortal_client: Redis, way: str
) -> None:
    def write() -> object:
        if way == "command":
            return mortal_client.set("key", "value")
        return mortal_client.register_script("return redis.call('SET', 'key', 'value')")()

    with Redis(port=mortal_redis.port) as admin:
        admin.replicaof("127.0.0.1", "1")
        with pytest.raises(ReadOnlyError):
            write()
        timer = threading.Timer(0.1, admin.replicaof, ["NO", "ONE"])
        timer.start()
        assert write()
        timer.join()


def test_a_sentinel_is_asked_for_the_master(mortal_redis: LocalRedis, tmp_path: Path) -> None:
    port = LocalRedis().port
    config = tmp_path / "sentinel.conf"
    config.write_text(f"port {port}\nsentinel monitor mymaster 127.0.0.1 {mortal_redis.port} 1\n")
    with subprocess.Popen([find_server(), str(config), "--sentinel"], stdout=subprocess.DEVNULL) as sentinel:
        with connect(f"redis+sentinel://127.0.0.1:{port}/mymaster/2") as client:
            client.set("key", "value")
            with Redis(port=mortal_redis.port, db=2, decode_responses=True) as direct:
                assert direct.get("key") == "value"
        sentinel.terminate()


def test_a_server_that_is_no_sentinel_is_an_error_that_says_so(redis_server: LocalRedis) -> None:
    with pytest.raises(AnceError, match=r"cannot be used: unknown command .SENTINEL"):
        connect(f"redis+sentinel://127.0.0.1:{redis_server.port}/mymaster")
