"""The checkpoint service itself: what is the newest checkpoint, told to everyone who watches."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator
from typing import Any

import grpc

from ance.runtime.contracts import ArtifactRef
from ance.runtime.feed.messages import is_newer, to_message
from ance.runtime.rpc import checkpoint_pb2 as pb
from ance.runtime.rpc.checkpoint_pb2_grpc import CheckpointServiceServicer
from ance.runtime.store import StaleFencingToken

Context = grpc.aio.ServicerContext[Any, Any]


class Checkpoints(CheckpointServiceServicer):
    """Holds the newest checkpoint of one run and answers for it.

    `announce` and `step` belong to the trainer's thread; the rest runs in the event loop of the server.
    """

    def __init__(self, run_id: str, heartbeat_seconds: float) -> None:
        self.step = 0
        self._run_id = run_id
        self._heartbeat_seconds = heartbeat_seconds
        self._newest: ArtifactRef | None = None
        self._announcing = threading.Lock()
        self._changed = asyncio.Event()
        self._closing = False

    def announce(self, ref: ArtifactRef) -> bool:
        """Make `ref` the newest. False if its step is not newer than what was announced.

        Raises:
            StaleFencingToken: `ref` has a lower fencing token than what was announced.
        """
        with self._announcing:
            known = self._newest
            if known is not None and ref.fencing_token < known.fencing_token:
                raise StaleFencingToken(
                    f"run {self._run_id!r}: checkpoint {ref.step} has fencing token {ref.fencing_token}, but "
                    f"{known.step} was announced with {known.fencing_token}: another trainer has taken over"
                )
            if not is_newer(ref, known):
                return False
            self._newest = ref
            return True

    def wake(self) -> None:
        """Make every watcher look again. Call it in the event loop."""
        self._changed.set()
        self._changed = asyncio.Event()

    def close(self) -> None:
        """End every stream. Call it in the event loop."""
        self._closing = True
        self.wake()

    async def WatchCheckpoints(  # noqa: N802
        self, request: pb.WatchCheckpointsRequest, context: Context
    ) -> AsyncIterator[pb.WatchCheckpointsResponse]:
        """Send the newest checkpoint if the client lacks it, else a heartbeat; again at every change."""
        await self._require_run(request.run_id, context)
        known = request.after_step
        while not self._closing:
            # Taken before the state is read, so that a change during the send is not slept through.
            changed = self._changed
            newest = self._newest
            if newest is not None and newest.step > known:
                yield pb.WatchCheckpointsResponse(checkpoint=to_message(self._run_id, newest))
                known = newest.step
            else:
                yield pb.WatchCheckpointsResponse(heartbeat=pb.Heartbeat(step=self.step))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._heartbeat_seconds):
                    await changed.wait()

    async def GetLatestCheckpoint(  # noqa: N802
        self, request: pb.GetLatestCheckpointRequest, context: Context
    ) -> pb.GetLatestCheckpointResponse:
        """Answer with the newest checkpoint, or NOT_FOUND before the first."""
        await self._require_run(request.run_id, context)
        if self._newest is None:
            await context.abort(grpc.StatusCode.NOT_FOUND, f"run {self._run_id!r} has no checkpoint yet")
        return pb.GetLatestCheckpointResponse(checkpoint=to_message(self._run_id, self._newest))

    async def _require_run(self, run_id: str, context: Context) -> None:
        if run_id != self._run_id:
            await context.abort(
                grpc.StatusCode.FAILED_PRECONDITION,
                f"this trainer serves run {self._run_id!r}, not run {run_id!r}: check ANCE_RUN and ANCE_FEED",
            )
