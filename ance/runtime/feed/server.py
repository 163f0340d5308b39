"""The trainer's end of the feed: a gRPC server in a thread of its own."""

from __future__ import annotations

import asyncio
import socket
import threading
from concurrent.futures import Future

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc  # type: ignore[import-untyped]
from grpc_reflection.v1alpha import reflection  # type: ignore[import-untyped]

from ance.errors import AnceError
from ance.runtime.contracts import ArtifactRef
from ance.runtime.feed.channel import SERVER_OPTIONS
from ance.runtime.feed.credentials import NO_CREDENTIALS, FeedCredentials
from ance.runtime.feed.servicer import Checkpoints
from ance.runtime.feed.tls import server_credentials
from ance.runtime.feed.tokens import TokenRequired
from ance.runtime.rpc import checkpoint_pb2 as pb
from ance.runtime.rpc.checkpoint_pb2_grpc import add_CheckpointServiceServicer_to_server

SERVICE = pb.DESCRIPTOR.services_by_name["CheckpointService"].full_name


class CheckpointServer:
    """Announces the checkpoints of one run to every watcher, from outside the training loop.

    Use as a context manager, or `start` and `stop`. Serves CheckpointService and grpc.health.v1.

    Args:
        port: TCP port (0: any free one, which `start` returns).
        run_id: The run. Clients that ask for another are refused.
        host: Address to listen on; [::] is every address, IPv4 too.
        heartbeat_seconds: Longest silence on a stream.
        reflection: Let clients such as grpcurl ask what is served.
        credentials: What it asks clients for, and whether it speaks TLS.

    Raises:
        AnceError: the credentials are not those of a server.
    """

    def __init__(
        self,
        port: int,
        run_id: str,
        *,
        host: str = "[::]",
        heartbeat_seconds: float = 15.0,
        reflection: bool = False,
        credentials: FeedCredentials = NO_CREDENTIALS,
    ) -> None:
        self._host = host
        self._port = port
        self._reflection = reflection
        self._token = credentials.token
        self._tls = server_credentials(credentials)
        self._checkpoints = Checkpoints(run_id, heartbeat_seconds)
        self._bound: Future[int] = Future()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._grace: asyncio.Future[float]
        self._thread = threading.Thread(target=self._run, name="checkpoint-feed", daemon=True)

    def start(self) -> int:
        """Listen. Returns the port.

        Raises:
            AnceError: the port is in use or not permitted.
        """
        self._thread.start()
        return self.port

    @property
    def port(self) -> int:
        """The port it listens on, once started."""
        return self._bound.result()

    def announce(self, ref: ArtifactRef) -> bool:
        """Tell everyone about a published checkpoint; also before `start`, for those who come.

        Returns:
            False if its step is not newer than what was announced before; nothing is sent then.

        Raises:
            StaleFencingToken: it has a lower fencing token than what was announced before.
        """
        is_news = self._checkpoints.announce(ref)
        if is_news and self._loop is not None:
            self._loop.call_soon_threadsafe(self._checkpoints.wake)
        return is_news

    def set_step(self, step: int) -> None:
        """The trainer's step now, for the next heartbeats."""
        self._checkpoints.step = step

    def stop(self, grace: float = 5.0) -> None:
        """Report NOT_SERVING, end the streams, then give calls in flight `grace` seconds."""
        loop, self._loop = self._loop, None
        if loop is not None:
            loop.call_soon_threadsafe(self._grace.set_result, grace)
            self._thread.join()

    def __enter__(self) -> CheckpointServer:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except Exception as error:
            if self._bound.done():
                raise
            self._bound.set_exception(error)

    async def _serve(self) -> None:
        interceptors = [TokenRequired(self._token)] if self._token else []
        server = grpc.aio.server(interceptors=interceptors, options=SERVER_OPTIONS)
        status = health.aio.HealthServicer()
        add_CheckpointServiceServicer_to_server(self._checkpoints, server)
        health_pb2_grpc.add_HealthServicer_to_server(status, server)
        if self._reflection:
            names = (SERVICE, health.SERVICE_NAME, reflection.SERVICE_NAME)
            reflection.enable_server_reflection(names, server)
        port = self._bind(server)
        await server.start()
        await status.set(SERVICE, health_pb2.HealthCheckResponse.SERVING)
        self._loop = asyncio.get_running_loop()
        self._grace = self._loop.create_future()
        self._bound.set_result(port)

        grace = await self._grace
        await status.enter_graceful_shutdown()
        self._checkpoints.close()
        await server.stop(grace)

    def _bind(self, server: grpc.aio.Server) -> int:
        try:
            require_free(self._host, self._port)
            address = f"{self._host}:{self._port}"
            if self._tls is None:
                return server.add_insecure_port(address)
            return server.add_secure_port(address, self._tls)
        except (OSError, RuntimeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "gRPC could not bind it"
            raise AnceError(
                f"cannot listen on {self._host}:{self._port}: {reason}; stop the process that holds the "
                "port, or choose another with ANCE_FEED_PORT"
            ) from error


def require_free(host: str, port: int) -> None:
    """Bind a port for a moment. gRPC would tell a failure on stderr in its own words, and its caller nothing.

    Raises:
        OSError: the port is in use or not permitted.
    """
    family = socket.AF_INET6 if host.startswith("[") else socket.AF_INET
    try:
        probe = socket.socket(family)
    except OSError:  # no IPv6 on this machine; gRPC then listens on IPv4
        return
    with probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((host.strip("[]"), port))
