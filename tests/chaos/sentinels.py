"""A master and a replica of Redis with three sentinels: real servers, of which one may die."""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from redis import Redis
from redis.exceptions import RedisError
from redis.sentinel import MasterNotFoundError, Sentinel

from ance.cli.stack import free_port
from ance.runtime.redis.local_server import find_server, server_command

MASTER = "ance"
SENTINELS = 3
DOWN_MILLISECONDS = 1000
"""How long the master must be silent before it counts as down."""
START_SECONDS = 20.0


class SentinelTrio:
    """Where the master is changes; `url` does not. Use as a context manager."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="ance-sentinels-")
        self._servers: dict[int, subprocess.Popen[bytes]] = {}
        self._sentinels: list[int] = []

    @property
    def url(self) -> str:
        """What `ance.runtime.redis.client.connect` takes."""
        return f"redis+sentinel://{','.join(f'127.0.0.1:{port}' for port in self._sentinels)}/{MASTER}/0"

    @property
    def master(self) -> int:
        """Port of the master that the sentinels agree on.

        Raises:
            MasterNotFoundError: there is none just now.
        """
        sentinel = Sentinel(  # type: ignore[no-untyped-call]
            [("127.0.0.1", port) for port in self._sentinels], socket_timeout=1.0, min_other_sentinels=SENTINELS - 1
        )
        _, port = sentinel.discover_master(MASTER)  # type: ignore[no-untyped-call]
        return int(port)

    def kill_master(self) -> None:
        """The sentinels make the replica the master, in a second or three."""
        server = self._servers[self.master]
        server.kill()
        server.wait()

    def __enter__(self) -> SentinelTrio:
        master, replica = free_port(), free_port()
        self._serve(master)
        self._serve(replica, "--replicaof", "127.0.0.1", str(master))
        with Redis(port=replica) as client:
            _until(lambda: client.info("replication")["master_link_status"] == "up")
        for _ in range(SENTINELS):
            self._watch(master)
        _until(lambda: self.master == master)
        # Until they have heard of it, there is nobody to fail over to.
        for port in self._sentinels:
            with Redis(port=port) as client:
                _until(lambda client=client: bool(client.sentinel_slaves(MASTER)))  # type: ignore[misc]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for server in self._servers.values():
            server.kill()
            server.wait()
        self._folder.cleanup()

    def _serve(self, port: int, *options: str) -> None:
        folder = self._own_folder(port)
        self._start(port, [*server_command(port, folder), "--repl-diskless-sync-delay", "0", *options])

    def _watch(self, master: int) -> None:
        port = free_port()
        config = self._own_folder(port) / "sentinel.conf"
        config.write_text(
            f"port {port}\nbind 127.0.0.1\ndir {config.parent}\n"
            f"sentinel monitor {MASTER} 127.0.0.1 {master} 2\n"
            f"sentinel down-after-milliseconds {MASTER} {DOWN_MILLISECONDS}\n"
            f"sentinel failover-timeout {MASTER} 5000\n"
        )
        self._sentinels.append(port)
        self._start(port, [find_server(), str(config), "--sentinel"])

    def _start(self, port: int, command: list[str]) -> None:
        self._servers[port] = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        with Redis(port=port) as client:
            _until(lambda: bool(client.ping()))

    def _own_folder(self, port: int) -> Path:
        folder = Path(self._folder.name) / str(port)
        folder.mkdir()
        return folder


def _until(condition: Callable[[], bool]) -> None:
    """Wait for servers that start."""
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            if condition():
                return
        except (RedisError, MasterNotFoundError):
            pass  # it is still starting: the deadline tells when it should not be
        assert time.monotonic() < deadline, "redis does not come up"
        time.sleep(0.05)
