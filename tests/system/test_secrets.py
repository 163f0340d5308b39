"""What a run is trusted with stays where it was put: no process argument and no log has it."""

from __future__ import annotations

import secrets
import signal
import subprocess
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

import pytest
from redis import Redis

from ance.cli.stack import free_port
from ance.runtime.redis.local_server import LocalRedis
from tests.services.service_run import wait_until
from tests.system.conftest import Prepared, start_ance
from tests.system.tiny import config, write_config

pytestmark = pytest.mark.timeout(240)

SERVICES = {f"services.{name}" for name in ("trainer", "inferencer", "indexer", "search_api")}
LOGS = ("trainer", "inferencer-0", "indexer", "search")
INTERRUPTED = 130


def descendants(pid: int) -> Iterator[Path]:
    """Folders in /proc of a process and of all that it has started."""
    folder = Path(f"/proc/{pid}")
    yield folder
    for children in folder.glob("task/*/children"):
        for child in children.read_text().split():
            yield from descendants(int(child))


class Watch:
    """Looks at the processes of a stack for as long as it runs."""

    def __init__(self, up: subprocess.Popen[bytes]) -> None:
        self._up = up
        self.commands: set[str] = set()
        self.variables: dict[str, set[str]] = {}
        """Values of each variable that begins with ANCE_."""

    def look(self) -> None:
        """Take down what can be seen of all processes now."""
        try:
            for folder in descendants(self._up.pid):
                self.commands.add((folder / "cmdline").read_text().replace("\0", " "))
                for line in (folder / "environ").read_text().split("\0"):
                    name, _, value = line.partition("=")
                    if name.startswith("ANCE_"):
                        self.variables.setdefault(name, set()).add(value)
        except (FileNotFoundError, ProcessLookupError):
            pass  # one that has just ended


def said(log: Path) -> str:
    """What a process has logged so far."""
    return log.read_text() if log.exists() else ""


def status(port: int, key: str = "") -> int:
    """Answer of the search service to a question that asks for a key; 0 while nobody answers."""
    request = Request(f"http://127.0.0.1:{port}/v1/indexes", headers={"Authorization": f"Bearer {key}"} if key else {})
    try:
        with urlopen(request, timeout=5) as response:
            return int(response.status)
    except HTTPError as error:
        return error.code
    except (URLError, OSError):
        return 0


def test_passwords_tokens_and_keys_are_in_no_argument_and_in_no_log(
    prepared: Prepared, mortal_redis: LocalRedis, tmp_path: Path
) -> None:
    password, key = secrets.token_urlsafe(), secrets.token_urlsafe()
    with Redis(port=mortal_redis.port) as admin:
        admin.config_set("requirepass", password)
    keys = tmp_path / "keys"
    keys.write_text(f"read {key}\n")
    settings = write_config(tmp_path / "run.yaml", config(prepared.encoder, run="secretive"))
    log, logs, port = tmp_path / "up.log", tmp_path / "local" / "logs", free_port()
    up = start_ance(
        [
            *("up", "--config", settings, "--store", prepared.store, "--folder", tmp_path / "local"),
            *("--port", str(port), "--redis-url", mortal_redis.url),
        ],
        log,
        ANCE_REDIS_PASSWORD=password,
        ANCE_API_KEYS_FILE=str(keys),
    )
    watch = Watch(up)

    def all_are_in_use() -> bool:
        """Redis has made a leader, the feed has announced a checkpoint, and search tells who has a key."""
        watch.look()
        return (
            '"msg": "leading"' in said(logs / "indexer.log")
            and '"source": "trainer"' in said(logs / "inferencer-0.log")
            and (status(port), status(port, key)) == (HTTPStatus.UNAUTHORIZED, HTTPStatus.OK)
        )

    try:
        wait_until(all_are_in_use, 120)
        up.send_signal(signal.SIGINT)
        assert up.wait(60) == INTERRUPTED, log.read_text()
    finally:
        up.kill()
        up.wait()

    assert watch.variables["ANCE_REDIS_PASSWORD"] == {password}
    (token,) = watch.variables["ANCE_FEED_TOKEN"]
    assert {word for command in watch.commands for word in command.split()} >= SERVICES
    logged = [said(log), *(said(logs / f"{name}.log") for name in LOGS)]
    assert all(logged)
    assert [
        text for text in [*watch.commands, *logged] if any(secret in text for secret in (password, token, key))
    ] == []
