"""Feeds of a trainer on this machine, and clients of them."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import grpc

from ance.runtime.contracts import ArtifactRef
from ance.runtime.feed import CheckpointServer
from ance.runtime.rpc import checkpoint_pb2 as pb
from ance.runtime.rpc.checkpoint_pb2_grpc import CheckpointServiceStub

HOST = "127.0.0.1"


def checkpoint(step: int, fencing_token: int = 1, final: bool = False) -> ArtifactRef:
    return ArtifactRef(
        step=step,
        manifest_uri=f"runs/demo/checkpoints/{step}/manifest.json",
        manifest_sha256=f"{step:064x}",
        created_at=1_700_000_000.123456,
        fencing_token=fencing_token,
        final=final,
    )


def nothing_published() -> ArtifactRef | None:
    return None


@contextmanager
def serving(port: int = 0, run_id: str = "demo", **options: Any) -> Iterator[tuple[CheckpointServer, str]]:
    server = CheckpointServer(port, run_id, host=HOST, heartbeat_seconds=0.1, **options)
    target = f"{HOST}:{server.start()}"
    try:
        yield server, target
    finally:
        server.stop(grace=0.2)


@contextmanager
def connected(target: str) -> Iterator[CheckpointServiceStub]:
    with grpc.insecure_channel(target) as channel:
        yield CheckpointServiceStub(channel)


def watch(stub: CheckpointServiceStub, after_step: int = -1) -> Iterator[pb.WatchCheckpointsResponse]:
    request = pb.WatchCheckpointsRequest(run_id="demo", after_step=after_step)
    return iter(stub.WatchCheckpoints(request, timeout=10))


def next_checkpoint(stream: Iterator[pb.WatchCheckpointsResponse]) -> int:
    return next(message.checkpoint.step for message in stream if message.HasField("checkpoint"))


def eventually(condition: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.01)
