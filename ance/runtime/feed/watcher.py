"""The fleet's end of the feed: the newest checkpoint of a run, whatever happens to the trainer."""

from __future__ import annotations

import math
import random
import threading
import time
from collections.abc import Callable

import grpc
from pydantic import ValidationError

from ance.errors import AnceError
from ance.runtime.contracts import ArtifactRef, describe
from ance.runtime.feed.credentials import NO_CREDENTIALS, FeedCredentials
from ance.runtime.feed.messages import is_newer, to_ref
from ance.runtime.feed.tls import open_channel, require_authority
from ance.runtime.feed.tokens import metadata
from ance.runtime.feed.trouble import Trouble, diagnose
from ance.runtime.logs import get_logger
from ance.runtime.rpc import checkpoint_pb2 as pb
from ance.runtime.rpc.checkpoint_pb2_grpc import CheckpointServiceStub

log = get_logger(__name__)

FIRST_BACKOFF_SECONDS = 0.25
LONGEST_BACKOFF_SECONDS = 5.0
STOP_CHECK_SECONDS = 0.2


class CheckpointWatcher:
    """Follows a trainer's stream, and beside it polls the store, so that a dead trainer only slows things.

    Use as a context manager, or `start` and `stop`. Every property is safe from any thread and never blocks.

    Args:
        target: host:port of the trainer's feed. Empty: only poll.
        run_id: The run to follow.
        fallback: Reads the newest published checkpoint from the store.
        poll_seconds: How often `fallback` is called; the first time is at once.
        credentials: What to show to the trainer, and whom to believe.

    Raises:
        AnceError: the credentials are not those of a client.
    """

    def __init__(
        self,
        target: str,
        run_id: str,
        fallback: Callable[[], ArtifactRef | None],
        poll_seconds: float = 60.0,
        credentials: FeedCredentials = NO_CREDENTIALS,
    ) -> None:
        require_authority(credentials)
        self._target = target
        self._run_id = run_id
        self._fallback = fallback
        self._poll_seconds = poll_seconds
        self._credentials = credentials
        self._told: set[Trouble] = set()
        self._newest: ArtifactRef | None = None
        self._trainer_step: int | None = None
        self._heard_at = -math.inf
        self._changed = threading.Condition()
        self._stopping = threading.Event()
        self._calling = threading.Lock()
        self._call: grpc.Call | None = None
        loops = [self._poll, self._watch] if target else [self._poll]
        self._threads = [
            threading.Thread(target=loop, name=f"checkpoint{loop.__name__.replace('_', '-')}", daemon=True)
            for loop in loops
        ]

    @property
    def newest(self) -> ArtifactRef | None:
        """The newest checkpoint known; None before the first."""
        return self._newest

    @property
    def trainer_step(self) -> int | None:
        """The trainer's step at its last heartbeat; None before the first."""
        return self._trainer_step

    @property
    def silent_seconds(self) -> float:
        """Time since the trainer was last heard on the stream; infinite before the first message."""
        return time.monotonic() - self._heard_at

    def start(self) -> None:
        """Start to watch, in the background."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Stop watching and wait until the threads have ended. Waits in `wait_newer` return."""
        self._stopping.set()
        with self._calling:
            if self._call is not None:
                self._call.cancel()
        with self._changed:
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def wait_newer(self, than_step: int, timeout: float, stop: Callable[[], bool] | None = None) -> ArtifactRef | None:
        """Wait for a checkpoint newer than `than_step` (-1: any).

        Returns:
            The newest one, or None after `timeout` seconds, when `stop` says so, or when the watcher stops.
        """
        deadline = time.monotonic() + timeout
        with self._changed:
            while self._newest is None or self._newest.step <= than_step:
                remaining = deadline - time.monotonic()
                if remaining <= 0 or self._stopping.is_set() or (stop is not None and stop()):
                    return None
                self._changed.wait(remaining if stop is None else min(remaining, STOP_CHECK_SECONDS))
            return self._newest

    def __enter__(self) -> CheckpointWatcher:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _take(self, ref: ArtifactRef, source: str) -> None:
        with self._changed:
            if is_newer(ref, self._newest):
                self._newest = ref
                self._changed.notify_all()
                log.info("new checkpoint", extra={"step": ref.step, "source": source})

    def _poll(self) -> None:
        while not self._stopping.is_set():
            try:
                ref = self._fallback()
            except (OSError, AnceError) as error:
                log.warning("checkpoint pointer not read, trying again: %s", error)
            else:
                if ref is not None:
                    self._take(ref, "store")
            self._stopping.wait(self._poll_seconds)

    def _watch(self) -> None:
        backoff = FIRST_BACKOFF_SECONDS
        log.info("watching the trainer's feed", extra={"feed": self._target})
        while not self._stopping.is_set():
            heard_at = self._heard_at
            self._follow()
            backoff = FIRST_BACKOFF_SECONDS if self._heard_at > heard_at else 2 * backoff
            backoff = min(backoff, LONGEST_BACKOFF_SECONDS)
            # Jitter: a fleet that lost its trainer at one moment must not return at one moment.
            self._stopping.wait(backoff * random.uniform(0.5, 1.5))

    def _follow(self) -> None:
        """Read one stream to its end, however it ends."""
        try:
            with open_channel(self._target, self._credentials) as channel:
                self._read(CheckpointServiceStub(channel))
            log.info("the trainer ended its stream, watching again", extra={"feed": self._target})
        except grpc.RpcError as error:
            self._tell(diagnose(error, self._credentials, heard=self._heard_at > -math.inf))
        except ValidationError as error:
            self._tell(Trouble(describe(error)))
        except (OSError, AnceError) as error:
            self._tell(Trouble(str(error)))

    def _read(self, stub: CheckpointServiceStub) -> None:
        newest = self._newest
        request = pb.WatchCheckpointsRequest(run_id=self._run_id, after_step=-1 if newest is None else newest.step)
        with self._calling:
            if self._stopping.is_set():
                return
            # It does not wait for a trainer that is away: only a call that fails tells why.
            call = stub.WatchCheckpoints(request, metadata=metadata(self._credentials.token))
            self._call = call
        for response in call:
            self._heard_at = time.monotonic()
            self._told.clear()
            if response.HasField("checkpoint"):
                self._take(to_ref(response.checkpoint), "trainer")
            else:
                self._trainer_step = response.heartbeat.step

    def _tell(self, trouble: Trouble) -> None:
        """Log what is wrong, once until the trainer is heard again: it is tried every few seconds."""
        if trouble not in self._told and not self._stopping.is_set():
            self._told.add(trouble)
            log.log(trouble.level, "feed lost, watching again: %s", trouble.text, extra={"feed": self._target})
