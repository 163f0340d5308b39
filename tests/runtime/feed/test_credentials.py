"""Who may watch the feed of a trainer, and which trainer a watcher believes."""

from __future__ import annotations

import logging
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc  # type: ignore[import-untyped]
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (  # type: ignore[import-untyped]
    ProtoReflectionDescriptorDatabase,
)

from ance.errors import AnceError
from ance.runtime.feed import CheckpointServer, CheckpointWatcher, watcher
from ance.runtime.feed.credentials import FeedCredentials
from ance.runtime.feed.settings import WatcherSettings
from ance.runtime.feed.tokens import metadata
from ance.runtime.rpc import checkpoint_pb2 as pb
from ance.runtime.settings import load
from tests.runtime.feed.feeds import HOST, checkpoint, connected, eventually, nothing_published, serving
from tests.runtime.tls import Authority, KeyPair

TOKEN = "the-token-of-this-run"
ASKS = FeedCredentials(TOKEN)


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("feed") / "stranger")


@pytest.fixture(scope="module")
def trainers(authority: Authority) -> KeyPair:
    return authority.issue("trainer")


@pytest.fixture(scope="module")
def ours(authority: Authority) -> KeyPair:
    return authority.issue("watcher")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """Watchers try again at once."""
    monkeypatch.setattr(watcher, "LONGEST_BACKOFF_SECONDS", 0.02)
    caplog.set_level(logging.INFO, logger="ance")


def shown(pair: KeyPair, *, token: str = "", authority: Authority | None = None) -> FeedCredentials:
    """Credentials with a certificate."""
    return FeedCredentials(token, authority and authority.certificate, pair.certificate, pair.key)


def believing(authority: Authority) -> FeedCredentials:
    """Credentials of a watcher with nothing to show."""
    return FeedCredentials(ca_file=authority.certificate)


@contextmanager
def watching(target: str, credentials: FeedCredentials) -> Iterator[CheckpointWatcher]:
    with CheckpointWatcher(target, "demo", nothing_published, credentials=credentials) as one:
        yield one


def hears(server: FeedCredentials, client: FeedCredentials) -> bool:
    """Whether a watcher hears of a checkpoint."""
    with serving(credentials=server) as (feed, target), watching(target, client) as one:
        feed.announce(checkpoint(100))
        return one.wait_newer(-1, timeout=10) == checkpoint(100)


def complaint(server: FeedCredentials, client: FeedCredentials, caplog: pytest.LogCaptureFixture) -> str:
    """What a watcher says of a feed that it can't watch: once, however often it tries."""
    tries = 0

    def counted(target: str, credentials: FeedCredentials) -> grpc.Channel:
        nonlocal tries
        tries += 1
        return open_channel(target, credentials)

    open_channel = watcher.open_channel
    with pytest.MonkeyPatch.context() as patch, serving(credentials=server) as (feed, target):
        patch.setattr(watcher, "open_channel", counted)
        feed.announce(checkpoint(200))
        with CheckpointWatcher(target, "demo", lambda: checkpoint(100), poll_seconds=0.02, credentials=client) as one:
            assert one.wait_newer(-1, timeout=10) == checkpoint(100), "the store tells, whatever the feed does"
            eventually(lambda: tries > 3)
            assert one.newest == checkpoint(100)
            assert one.trainer_step is None
    (said,) = [record for record in caplog.records if record.message.startswith("feed lost")]
    assert said.levelno == logging.WARNING
    return said.message


class TestToken:
    def test_who_has_the_token_hears_of_checkpoints(self) -> None:
        assert hears(ASKS, FeedCredentials(TOKEN))

    def test_a_feed_that_asks_for_none_takes_any(self) -> None:
        assert hears(FeedCredentials(), FeedCredentials(TOKEN))

    @pytest.mark.parametrize("shown", ["", "another-token", TOKEN[:-1], f"{TOKEN}s"])
    def test_nobody_else_gets_an_answer(self, shown: str) -> None:
        with serving(credentials=ASKS) as (server, target), connected(target) as stub:
            server.announce(checkpoint(100))
            calls = (
                lambda: stub.GetLatestCheckpoint(
                    pb.GetLatestCheckpointRequest(run_id="demo"), metadata=metadata(shown), timeout=10
                ),
                lambda: next(
                    stub.WatchCheckpoints(
                        pb.WatchCheckpointsRequest(run_id="demo"), metadata=metadata(shown), timeout=10
                    )
                ),
            )
            for call in calls:
                with pytest.raises(grpc.RpcError) as refused:
                    call()
                assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED
                details = refused.value.details() or ""
                assert "set ANCE_FEED_TOKEN to the trainer's" in details
                assert TOKEN[:-1] not in details

    @pytest.mark.parametrize("header", [TOKEN, f"Basic {TOKEN}", f"Bearer  {TOKEN}"])
    def test_it_is_shown_as_a_bearer_token(self, header: str) -> None:
        request = pb.GetLatestCheckpointRequest(run_id="demo")
        with (
            serving(credentials=ASKS) as (_, target),
            connected(target) as stub,
            pytest.raises(grpc.RpcError) as refused,
        ):
            stub.GetLatestCheckpoint(request, metadata=(("authorization", header),), timeout=10)
        assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED

    @pytest.mark.parametrize(("shown", "reason"), [("", "asks for a token"), ("another", "not its token")])
    def test_a_watcher_without_it_says_so_once_and_goes_on_with_the_store(
        self, shown: str, reason: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        said = complaint(ASKS, FeedCredentials(shown), caplog)
        assert reason in said
        assert "set ANCE_FEED_TOKEN" in said
        assert TOKEN not in caplog.text

    def test_a_watcher_says_it_again_after_it_was_heard_in_between(self, caplog: pytest.LogCaptureFixture) -> None:
        with socket.create_server((HOST, 0)) as free:
            port = free.getsockname()[1]
        with watching(f"{HOST}:{port}", FeedCredentials(TOKEN)) as one:
            for step, token in enumerate(("other", TOKEN, "other"), 1):
                with serving(port, credentials=FeedCredentials(token)) as (server, _):
                    server.announce(checkpoint(step))
                    if token == TOKEN:
                        assert one.wait_newer(-1, timeout=20) == checkpoint(step)
                    else:
                        said = caplog.text.count("not its token") + 1
                        eventually(lambda said=said: caplog.text.count("not its token") == said)  # type: ignore[misc]

    def test_probes_need_none_and_reflection_does(self) -> None:
        with serving(credentials=ASKS, reflection=True) as (_, target), grpc.insecure_channel(target) as channel:
            status = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=10)
            assert status.status == health_pb2.HealthCheckResponse.SERVING
            with pytest.raises(grpc.RpcError) as refused:
                ProtoReflectionDescriptorDatabase(channel).get_services()
            assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED

    def test_a_trainer_that_is_away_is_nothing_to_warn_of(self, caplog: pytest.LogCaptureFixture) -> None:
        with watching(f"{HOST}:1", FeedCredentials(TOKEN)):
            eventually(lambda: "Connection refused" in caplog.text)
        assert not [record for record in caplog.records if record.levelno > logging.INFO]

    def test_neither_is_one_that_a_proxy_hangs_up_for(self, caplog: pytest.LogCaptureFixture) -> None:
        with serving(credentials=ASKS) as (_, target):
            port = int(target.rpartition(":")[2])
            one = CheckpointWatcher(target, "demo", nothing_published, credentials=FeedCredentials(TOKEN))
            one.start()
            eventually(lambda: one.trainer_step is not None)
        with socket.create_server((HOST, port)) as proxy:
            for _ in range(3):
                proxy.accept()[0].close()
            eventually(lambda: "feed lost" in caplog.text)
            one.stop()
        assert not [record for record in caplog.records if record.levelno > logging.INFO]


class TestTls:
    def test_a_watcher_that_knows_the_authority_believes_the_trainer(
        self, trainers: KeyPair, authority: Authority
    ) -> None:
        assert hears(shown(trainers), believing(authority))

    def test_with_certificates_on_both_sides_and_a_token(
        self, trainers: KeyPair, ours: KeyPair, authority: Authority
    ) -> None:
        assert hears(shown(trainers, token=TOKEN, authority=authority), shown(ours, token=TOKEN, authority=authority))

    def test_a_certificate_does_not_replace_the_token(
        self, trainers: KeyPair, ours: KeyPair, authority: Authority, caplog: pytest.LogCaptureFixture
    ) -> None:
        server = shown(trainers, token=TOKEN, authority=authority)
        assert "set ANCE_FEED_TOKEN" in complaint(server, shown(ours, authority=authority), caplog)

    def test_a_trainer_of_another_authority_is_not_believed(
        self, trainers: KeyPair, stranger: Authority, caplog: pytest.LogCaptureFixture
    ) -> None:
        said = complaint(shown(trainers), believing(stranger), caplog)
        assert "CERTIFICATE_VERIFY_FAILED" in said
        assert "its certificate is from ANCE_FEED_CA_FILE" in said

    def test_a_trainer_by_another_name_is_not_believed(
        self, trainers: KeyPair, authority: Authority, caplog: pytest.LogCaptureFixture
    ) -> None:
        with serving(credentials=shown(trainers)) as (_, target):
            other = target.replace(HOST, "localhost")
            with watching(other, believing(authority)) as one:
                eventually(lambda: "for the host in ANCE_FEED" in caplog.text)
                assert one.trainer_step is None

    def test_a_watcher_without_tls_is_told_of_it(self, trainers: KeyPair, caplog: pytest.LogCaptureFixture) -> None:
        said = complaint(shown(trainers), FeedCredentials(), caplog)
        assert "if the trainer speaks TLS, set ANCE_FEED_CA_FILE" in said

    def test_a_watcher_with_tls_takes_no_trainer_without_it(
        self, authority: Authority, caplog: pytest.LogCaptureFixture
    ) -> None:
        client = FeedCredentials(TOKEN, ca_file=authority.certificate)
        assert "check that the trainer speaks TLS" in complaint(ASKS, client, caplog)

    def test_a_watcher_without_a_certificate_gets_no_connection_where_one_is_asked_for(
        self, trainers: KeyPair, authority: Authority, caplog: pytest.LogCaptureFixture
    ) -> None:
        said = complaint(shown(trainers, authority=authority), believing(authority), caplog)
        assert "this process has ANCE_FEED_CERT_FILE and ANCE_FEED_KEY_FILE" in said

    def test_a_watcher_with_a_certificate_of_another_authority_gets_none_either(
        self, trainers: KeyPair, authority: Authority, stranger: Authority, caplog: pytest.LogCaptureFixture
    ) -> None:
        pair = stranger.issue("watcher")
        said = complaint(shown(trainers, authority=authority), shown(pair, authority=authority), caplog)
        assert "ANCE_FEED_CERT_FILE of an authority that it knows" in said

    def test_a_renewed_certificate_needs_no_restart(
        self, tmp_path: Path, trainers: KeyPair, authority: Authority, stranger: Authority
    ) -> None:
        pair = KeyPair(tmp_path / "tls.crt", tmp_path / "tls.key")
        trusted = tmp_path / "ca.crt"
        renew(pair, trainers)
        shutil.copy(authority.certificate, trusted)
        client = FeedCredentials(ca_file=trusted)
        with serving(credentials=shown(pair)) as (server, target):
            server.announce(checkpoint(100))
            with watching(target, client) as before:
                assert before.wait_newer(-1, timeout=10)
            renew(pair, stranger.issue("trainer"))
            with watching(target, client) as after:
                assert after.wait_newer(-1, timeout=0.2) is None, "the certificate is a new one"
                shutil.copy(stranger.certificate, trusted)
                assert after.wait_newer(-1, timeout=10), "and so is the authority, for the same watcher"


def renew(pair: KeyPair, by: KeyPair) -> None:
    shutil.copy(by.certificate, pair.certificate)
    shutil.copy(by.key, pair.key)


class TestSettings:
    def test_the_environment_gives_the_credentials_and_shows_no_token(
        self, monkeypatch: pytest.MonkeyPatch, ours: KeyPair, authority: Authority
    ) -> None:
        monkeypatch.setenv("ANCE_FEED_TOKEN", TOKEN)
        monkeypatch.setenv("ANCE_FEED_CA_FILE", str(authority.certificate))
        monkeypatch.setenv("ANCE_FEED_CERT_FILE", str(ours.certificate))
        monkeypatch.setenv("ANCE_FEED_KEY_FILE", str(ours.key))
        settings = load(WatcherSettings)
        assert settings.feed_credentials == shown(ours, token=TOKEN, authority=authority)
        assert TOKEN not in repr(settings) + repr(settings.feed_credentials) + str(settings.model_dump())

    @pytest.mark.parametrize("token", [f"{TOKEN}\n", "two words", "schlüssel"])
    def test_a_token_that_no_header_carries_is_refused_without_being_shown(self, token: str) -> None:
        with pytest.raises(AnceError, match="ANCE_FEED_TOKEN has white space or other signs") as refused:
            FeedCredentials(token)
        assert token.strip() not in str(refused.value)

    def test_a_certificate_and_its_key_go_together(self, ours: KeyPair) -> None:
        with pytest.raises(AnceError, match="set both or neither"):
            FeedCredentials(cert_file=ours.certificate)

    def test_a_file_that_is_not_there_is_named(self) -> None:
        with pytest.raises(AnceError, match=r"ANCE_FEED_CA_FILE: there is no file /nowhere/ca\.crt"):
            FeedCredentials(ca_file=Path("/nowhere/ca.crt"))

    def test_a_file_that_is_no_certificate_is_named(self, ours: KeyPair) -> None:
        with pytest.raises(AnceError, match=r"ANCE_FEED_CA_FILE: .*\.key is no certificate in PEM"):
            FeedCredentials(ca_file=ours.key)

    def test_a_key_of_another_certificate_is_refused(self, ours: KeyPair, trainers: KeyPair) -> None:
        with pytest.raises(AnceError, match="are no certificate in PEM and its private key"):
            FeedCredentials(cert_file=ours.certificate, key_file=trainers.key)

    def test_a_trainer_asks_for_certificates_only_with_one_of_its_own(self, authority: Authority) -> None:
        with pytest.raises(AnceError, match="the trainer has no certificate of its own: set ANCE_FEED_CERT_FILE"):
            CheckpointServer(0, "demo", credentials=believing(authority))

    def test_a_watcher_shows_a_certificate_only_to_a_trainer_that_it_can_believe(self, ours: KeyPair) -> None:
        with pytest.raises(AnceError, match="ANCE_FEED_CA_FILE is not: name the authority"):
            CheckpointWatcher("", "demo", nothing_published, credentials=shown(ours))
