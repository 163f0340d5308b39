"""Who we are to Redis: credentials and certificates, and where they must not be seen."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis
from redis.exceptions import NoPermissionError

from ance.errors import AnceError
from ance.runtime.lease import RunLease
from ance.runtime.queue import TaskQueue
from ance.runtime.redis.address import RedisAddress
from ance.runtime.redis.client import connect
from ance.runtime.redis.lease import RedisLease
from ance.runtime.redis.local_server import LocalRedis
from ance.runtime.redis.settings import RedisSettings
from ance.runtime.settings import load
from tests.runtime.conftest import encode_task
from tests.runtime.tls import Authority, KeyPair, tls_proxy

PASSWORD = uuid.uuid4().hex


@pytest.fixture(scope="module")
def guarded() -> Iterator[LocalRedis]:
    """A server with a password for the default user, and a user `ance` who may touch our keys alone."""
    with LocalRedis() as server, Redis(port=server.port) as admin:
        admin.acl_setuser("ance", enabled=True, passwords=[f"+{PASSWORD}"], keys=["ance:*"], categories=["+@all"])
        admin.config_set("requirepass", PASSWORD)
        yield server


@pytest.fixture(scope="module")
def ours(authority: Authority) -> KeyPair:
    return authority.issue("trainer")


@pytest.fixture(scope="module")
def tls_port(guarded: LocalRedis, authority: Authority) -> Iterator[int]:
    """TLS in front of that server, for those whom the authority knows."""
    with tls_proxy(guarded.port, authority.issue("redis"), authority) as port:
        yield port


def test_the_default_user_needs_only_a_password(guarded: LocalRedis) -> None:
    with connect(RedisAddress(guarded.url, password=PASSWORD)) as client:
        assert client.acl_whoami() == "default"


def test_an_acl_user_has_its_own_rights(guarded: LocalRedis) -> None:
    with connect(RedisAddress(guarded.url, "ance", PASSWORD)) as client:
        assert client.set("ance:{demo}:key", "value")
        with pytest.raises(NoPermissionError):
            client.set("another:key", "value")


def test_the_acl_user_of_the_documentation_can_do_all_that_we_do(guarded: LocalRedis) -> None:
    text = (Path(__file__).parents[3] / "docs" / "security.md").read_text("utf-8")
    rule = next(line for line in text.splitlines() if line.startswith("ACL SETUSER"))
    with connect(RedisAddress(guarded.url, password=PASSWORD)) as admin:
        admin.execute_command(*rule.replace(" ance ", " documented ").replace("PASSWORD", PASSWORD).split())
    with connect(RedisAddress(guarded.url, "documented", PASSWORD)) as client:
        queue = TaskQueue(client, "demo", "worker", lease_seconds=5)
        assert queue.enqueue([encode_task(1), encode_task(2)])
        done, failed = queue.take(), queue.take()
        assert done is not None and failed is not None
        with done:
            done.done({})
        failed.hand_back()
        assert queue.completions("0-0", block_seconds=0.01)
        assert queue.counts().waiting + queue.counts().pending == 1
        queue.drop_other_steps(0)
        lease = RunLease(RedisLease(client, "demo/indexer", "worker", 5.0))
        assert lease.acquire()
        lease.release()


def test_a_password_with_the_signs_of_a_url_is_taken_as_it_is(guarded: LocalRedis) -> None:
    with connect(RedisAddress(guarded.url, password=PASSWORD)) as admin:
        admin.acl_setuser("odd", enabled=True, passwords=["+a/b@c:d?e%41"], categories=["+@all"])
    with connect(RedisAddress(guarded.url, "odd", "a/b@c:d?e%41")) as client:
        assert client.acl_whoami() == "odd"


@pytest.mark.parametrize("password", ["", "wrong-password"])
def test_wrong_credentials_are_an_error_that_names_the_variables(guarded: LocalRedis, password: str) -> None:
    with pytest.raises(AnceError, match="ANCE_REDIS_PASSWORD") as failure:
        connect(RedisAddress(guarded.url, password=password), grace_seconds=0)
    assert "wrong-password" not in str(failure.value)


def test_tls_with_a_certificate_on_both_sides(tls_port: int, authority: Authority, ours: KeyPair) -> None:
    address = RedisAddress(
        f"rediss://127.0.0.1:{tls_port}/0",
        "ance",
        PASSWORD,
        ca_file=authority.certificate,
        cert_file=ours.certificate,
        key_file=ours.key,
    )
    with connect(address) as client:
        assert client.ping()


def test_a_server_that_the_authority_does_not_know_is_refused(tls_port: int, tmp_path: Path, ours: KeyPair) -> None:
    stranger = Authority(tmp_path / "stranger")
    address = RedisAddress(
        f"rediss://127.0.0.1:{tls_port}/0",
        password=PASSWORD,
        ca_file=stranger.certificate,
        cert_file=ours.certificate,
        key_file=ours.key,
    )
    with pytest.raises(AnceError, match=r"certificate verify failed.*"):
        connect(address, grace_seconds=0)


def test_a_client_without_a_certificate_gets_no_connection(tls_port: int, authority: Authority) -> None:
    address = RedisAddress(f"rediss://127.0.0.1:{tls_port}/0", password=PASSWORD, ca_file=authority.certificate)
    with pytest.raises(AnceError, match="does not answer"):
        connect(address, grace_seconds=0)


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"url": "redis://me:hunter2@host", "password": "hunter3"}, "leave them out of the URL"),
        ({"url": "redis://host", "username": "ance"}, "set both"),
        ({"url": "rediss://host", "cert_file": Path(__file__)}, "set both or neither"),
        ({"url": "redis://host", "ca_file": Path(__file__)}, "ANCE_REDIS_CA_FILE is set, but redis://host has no TLS"),
        ({"url": "rediss://host", "ca_file": Path("/nowhere/ca.pem")}, "there is no file /nowhere/ca.pem"),
    ],
)
def test_settings_that_contradict_each_other_are_named(settings: dict[str, object], complaint: str) -> None:
    with pytest.raises(AnceError, match=complaint) as failure:
        RedisAddress(**settings)  # type: ignore[arg-type]
    assert "hunter" not in str(failure.value)


def test_the_environment_gives_the_credentials(monkeypatch: pytest.MonkeyPatch, guarded: LocalRedis) -> None:
    monkeypatch.setenv("ANCE_REDIS_URL", guarded.url)
    monkeypatch.setenv("ANCE_REDIS_USERNAME", "ance")
    monkeypatch.setenv("ANCE_REDIS_PASSWORD", PASSWORD)
    with connect(load(RedisSettings).redis) as client:
        assert client.acl_whoami() == "ance"


def test_a_password_is_in_no_text_that_could_reach_a_log(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("ANCE_REDIS_URL", "redis://127.0.0.1:1/0")
    monkeypatch.setenv("ANCE_REDIS_PASSWORD", PASSWORD)
    settings = load(RedisSettings)
    with caplog.at_level(logging.DEBUG), pytest.raises(AnceError) as failure:
        connect(settings.redis, grace_seconds=0.2)
    in_url = RedisAddress(f"redis://:{PASSWORD}@127.0.0.1:1/0?ssl_password={PASSWORD}")
    seen = [settings, settings.redis, in_url, in_url.shown, failure.value, caplog.text]
    assert not any(PASSWORD in f"{thing} {thing!r}" for thing in seen)
