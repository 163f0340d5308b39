import logging
import socket
import threading
import time

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc  # type: ignore[import-untyped]
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (  # type: ignore[import-untyped]
    ProtoReflectionDescriptorDatabase,
)

from ance.errors import AnceError
from ance.runtime.contracts import ArtifactRef
from ance.runtime.feed import CheckpointServer, CheckpointWatcher
from ance.runtime.rpc import checkpoint_pb2 as pb
from ance.runtime.store import StaleFencingToken
from tests.runtime.feed.feeds import (
    HOST,
    checkpoint,
    connected,
    eventually,
    next_checkpoint,
    nothing_published,
    serving,
    watch,
)


class TestServer:
    def test_a_newcomer_gets_the_newest_checkpoint_at_once_and_in_full(self) -> None:
        with serving() as (server, target), connected(target) as stub:
            server.announce(checkpoint(100))
            server.announce(checkpoint(200, final=True))
            message = next(watch(stub))

        assert message.checkpoint.run_id == "demo"
        assert message.checkpoint.step == 200
        assert message.checkpoint.manifest_uri == "runs/demo/checkpoints/200/manifest.json"
        assert message.checkpoint.manifest_sha256 == f"{200:064x}"
        assert message.checkpoint.created_at.ToMicroseconds() == 1_700_000_000_123_456
        assert message.checkpoint.fencing_token == 1
        assert message.checkpoint.final

    def test_a_checkpoint_announced_before_the_start_is_served(self) -> None:
        server = CheckpointServer(0, "demo", host=HOST)
        server.announce(checkpoint(100))
        with connected(f"{HOST}:{server.start()}") as stub:
            assert next_checkpoint(watch(stub)) == 100
        server.stop(grace=0)

    def test_only_checkpoints_newer_than_the_client_has_are_sent(self) -> None:
        with serving() as (server, target), connected(target) as stub:
            server.announce(checkpoint(100))
            stream = watch(stub, after_step=100)
            assert next(stream).HasField("heartbeat")
            server.announce(checkpoint(200))
            assert next_checkpoint(stream) == 200

    def test_heartbeats_carry_the_trainers_step(self) -> None:
        with serving() as (server, target), connected(target) as stub:
            server.set_step(17)
            stream = watch(stub)
            assert [next(stream).heartbeat.step for _ in range(2)] == [17, 17]
            server.set_step(18)
            eventually(lambda: next(stream).heartbeat.step == 18)

    def test_every_watcher_hears_of_a_new_checkpoint(self) -> None:
        with serving() as (server, target), connected(target) as stub:
            streams = [watch(stub) for _ in range(5)]
            for stream in streams:
                next(stream)
            server.announce(checkpoint(100))
            assert [next_checkpoint(stream) for stream in streams] == [100] * 5

    def test_an_older_checkpoint_changes_nothing(self) -> None:
        with serving() as (server, target), connected(target) as stub:
            assert server.announce(checkpoint(200))
            assert not server.announce(checkpoint(200))
            assert not server.announce(checkpoint(100))
            assert next_checkpoint(watch(stub)) == 200

    def test_a_trainer_that_was_replaced_is_refused(self) -> None:
        with serving() as (server, target), connected(target) as stub:
            server.announce(checkpoint(200, fencing_token=5))
            with pytest.raises(StaleFencingToken, match=r"checkpoint 300 has fencing token 4, but 200 .* with 5"):
                server.announce(checkpoint(300, fencing_token=4))
            assert next_checkpoint(watch(stub)) == 200

    def test_the_latest_checkpoint_is_not_found_before_the_first(self) -> None:
        with serving() as (server, target), connected(target) as stub:
            request = pb.GetLatestCheckpointRequest(run_id="demo")
            with pytest.raises(grpc.RpcError) as error:
                stub.GetLatestCheckpoint(request, timeout=10)
            assert error.value.code() is grpc.StatusCode.NOT_FOUND

            server.announce(checkpoint(100))
            assert stub.GetLatestCheckpoint(request, timeout=10).checkpoint.step == 100

    def test_a_client_of_another_run_is_told_both_runs(self) -> None:
        with serving() as (_, target), connected(target) as stub:
            with pytest.raises(grpc.RpcError) as get_error:
                stub.GetLatestCheckpoint(pb.GetLatestCheckpointRequest(run_id="msmarco"), timeout=10)
            with pytest.raises(grpc.RpcError) as watch_error:
                next(stub.WatchCheckpoints(pb.WatchCheckpointsRequest(run_id="msmarco"), timeout=10))
        for error in (get_error.value, watch_error.value):
            assert error.code() is grpc.StatusCode.FAILED_PRECONDITION
            assert "'demo', not run 'msmarco'" in (error.details() or "")

    @pytest.mark.parametrize("service", ["", "ance.v1.CheckpointService"])
    def test_health_is_serving_and_first_of_all_not_serving_on_stop(self, service: str) -> None:
        with serving() as (server, target), grpc.insecure_channel(target) as channel:
            health = health_pb2_grpc.HealthStub(channel)
            request = health_pb2.HealthCheckRequest(service=service)
            assert health.Check(request, timeout=10).status == health_pb2.HealthCheckResponse.SERVING
            statuses = health.Watch(request, timeout=10)
            assert next(statuses).status == health_pb2.HealthCheckResponse.SERVING
            server.stop(grace=0.2)
            assert next(statuses).status == health_pb2.HealthCheckResponse.NOT_SERVING

    def test_stopping_ends_streams_without_an_error_and_leaves_no_thread(self) -> None:
        before = threading.active_count()
        server = CheckpointServer(0, "demo", host=HOST, heartbeat_seconds=60)
        with connected(f"{HOST}:{server.start()}") as stub:
            stream = watch(stub)
            next(stream)
            server.stop(grace=10)
            assert list(stream) == []
        server.stop()
        eventually(lambda: threading.active_count() <= before)

    def test_reflection_is_there_only_when_asked_for(self) -> None:
        with serving(reflection=True) as (_, target), grpc.insecure_channel(target) as channel:
            services = ProtoReflectionDescriptorDatabase(channel).get_services()
            assert "ance.v1.CheckpointService" in services
        with serving() as (_, target), grpc.insecure_channel(target) as channel:
            with pytest.raises(grpc.RpcError) as error:
                ProtoReflectionDescriptorDatabase(channel).get_services()
            assert error.value.code() is grpc.StatusCode.UNIMPLEMENTED

    @pytest.mark.parametrize("host", [HOST, "0.0.0.0", "[::]"])
    def test_a_port_in_use_is_one_line_that_names_it_and_the_way_out(
        self, host: str, capfd: pytest.CaptureFixture[str]
    ) -> None:
        with socket.create_server(("0.0.0.0", 0)) as holder:
            port = holder.getsockname()[1]
            with pytest.raises(AnceError) as error:
                CheckpointServer(port, "demo", host=host).start()
        assert str(error.value) == (
            f"cannot listen on {host}:{port}: Address already in use; stop the process that holds the port, "
            "or choose another with ANCE_FEED_PORT"
        )
        assert capfd.readouterr().err == ""

    def test_two_servers_never_share_a_port(self) -> None:
        with serving() as (_, target), pytest.raises(AnceError, match="already in use"):
            CheckpointServer(int(target.rpartition(":")[2]), "demo", host=HOST).start()

    def test_by_default_it_listens_on_every_address(self) -> None:
        with CheckpointServer(0, "demo") as server, connected(f"localhost:{server.port}") as stub:
            server.announce(checkpoint(100))
            assert next_checkpoint(watch(stub)) == 100


class TestWatcher:
    def test_it_knows_what_was_announced_before_and_hears_what_comes(self) -> None:
        with serving() as (server, target):
            server.announce(checkpoint(100))
            with CheckpointWatcher(target, "demo", nothing_published) as watcher:
                assert watcher.wait_newer(-1, timeout=10) == checkpoint(100)
                server.announce(checkpoint(200, final=True))
                assert watcher.wait_newer(100, timeout=10) == checkpoint(200, final=True)
                assert watcher.newest == checkpoint(200, final=True)

    def test_it_knows_how_far_the_trainer_is_and_when_it_was_heard_last(self) -> None:
        with serving() as (server, target):
            with CheckpointWatcher(target, "demo", nothing_published) as watcher:
                assert watcher.trainer_step is None or watcher.trainer_step == 0
                server.set_step(42)
                eventually(lambda: watcher.trainer_step == 42)
                assert watcher.silent_seconds < 5
            silent = watcher.silent_seconds
            time.sleep(0.02)
            assert watcher.silent_seconds > silent

    def test_it_may_start_before_the_trainer_and_survives_its_restart(self) -> None:
        with socket.create_server((HOST, 0)) as free:
            port = free.getsockname()[1]
        with CheckpointWatcher(f"{HOST}:{port}", "demo", nothing_published) as watcher:
            assert watcher.wait_newer(-1, timeout=0.05) is None
            for step in (100, 200):
                with serving(port) as (server, _):
                    server.announce(checkpoint(step, fencing_token=step))
                    assert watcher.wait_newer(step - 1, timeout=20) == checkpoint(step, fencing_token=step)

    def test_without_the_trainer_it_finds_checkpoints_in_the_store(self) -> None:
        published = [checkpoint(100)]
        with CheckpointWatcher(f"{HOST}:1", "demo", lambda: published[-1], poll_seconds=0.02) as watcher:
            assert watcher.wait_newer(-1, timeout=10) == checkpoint(100)
            published.append(checkpoint(200))
            assert watcher.wait_newer(100, timeout=10) == checkpoint(200)

    def test_without_a_target_it_only_polls(self) -> None:
        before = threading.active_count()
        with CheckpointWatcher("", "demo", lambda: checkpoint(100), poll_seconds=60) as watcher:
            assert watcher.wait_newer(-1, timeout=10) == checkpoint(100)
            assert threading.active_count() == before + 1

    def test_a_store_that_does_not_answer_is_logged_and_asked_again(self, caplog: pytest.LogCaptureFixture) -> None:
        answers: list[AnceError | OSError | ArtifactRef] = [
            AnceError("store s3://b is unreachable"),
            OSError("reset"),
        ]

        def fallback() -> ArtifactRef:
            answer = answers.pop(0) if answers else checkpoint(100)
            if isinstance(answer, Exception):
                raise answer
            return answer

        with CheckpointWatcher("", "demo", fallback, poll_seconds=0.01) as watcher:
            assert watcher.wait_newer(-1, timeout=10) == checkpoint(100)
        assert "store s3://b is unreachable" in caplog.text
        assert "reset" in caplog.text

    @pytest.mark.parametrize(
        "stale", [checkpoint(100, fencing_token=2), checkpoint(300, fencing_token=1)], ids=["older", "fenced"]
    )
    def test_a_stale_checkpoint_never_replaces_a_newer_one(self, stale: ArtifactRef) -> None:
        published = [checkpoint(200, fencing_token=2)]
        polls = threading.Semaphore(0)

        def fallback() -> ArtifactRef:
            polls.release()
            return published[-1]

        with CheckpointWatcher("", "demo", fallback, poll_seconds=0.01) as watcher:
            assert watcher.wait_newer(-1, timeout=10) == published[0]
            published.append(stale)
            for _ in range(3):
                polls.acquire(timeout=10)
            assert watcher.newest == published[0]

    def test_a_trainer_of_another_run_is_reported_and_its_checkpoints_are_not_taken(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        with serving(run_id="msmarco") as (server, target):
            server.announce(checkpoint(100))
            with CheckpointWatcher(target, "demo", nothing_published) as watcher:
                eventually(lambda: "'msmarco', not run 'demo'" in caplog.text)
                assert watcher.newest is None

    def test_waiting_ends_when_told_to_stop_and_when_the_watcher_stops(self) -> None:
        watcher = CheckpointWatcher("", "demo", nothing_published)
        watcher.start()
        started = time.monotonic()
        assert watcher.wait_newer(-1, timeout=60, stop=lambda: True) is None

        results = []
        waiting = threading.Thread(target=lambda: results.append(watcher.wait_newer(-1, timeout=60)))
        waiting.start()
        watcher.stop()
        waiting.join()
        assert results == [None]
        assert time.monotonic() - started < 10

    @pytest.mark.parametrize("trainer_is_there", [True, False])
    def test_stopping_leaves_no_thread(self, trainer_is_there: bool) -> None:
        with serving() as (_, target):
            before = threading.active_count()
            watcher = CheckpointWatcher(target if trainer_is_there else f"{HOST}:1", "demo", nothing_published)
            watcher.start()
            if trainer_is_there:
                eventually(lambda: watcher.trainer_step is not None)
            watcher.stop()
            eventually(lambda: threading.active_count() <= before)

    def test_a_malformed_checkpoint_is_reported_and_not_taken(self, caplog: pytest.LogCaptureFixture) -> None:
        malformed = checkpoint(100).model_copy(update={"manifest_sha256": "not a hash"})
        with serving() as (server, target):
            server.announce(malformed)
            with CheckpointWatcher(target, "demo", nothing_published) as watcher:
                eventually(lambda: "manifest_sha256" in caplog.text)
                server.announce(checkpoint(200))
                assert watcher.wait_newer(-1, timeout=10) == checkpoint(200)


@pytest.fixture(autouse=True)
def our_logs(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="ance")
