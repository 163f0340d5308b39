"""One start of a container: a local process in namespaces of its own."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.pods.images import Image
from tests.pods.volumes import Mount

SHIM = Path(__file__).with_name("shim.py")
KILLED = 128 + signal.SIGKILL


@dataclass(frozen=True, slots=True)
class ContainerSpec:
    """What a container runs, where, and as whom."""

    hostname: str
    network: Path
    image: Image
    command: Sequence[str]
    environment: Mapping[str, str]
    working_dir: str
    mounts: Sequence[Mount]
    hosts: Path
    """File that is /etc/hosts of the container; it changes while the container runs."""
    uid: int
    gid: int
    read_only: bool
    """The root file system is."""


class Container:
    """A running process.

    Args:
        spec: what to run.
        folder: of this start, for what the shim needs.
        log: file to which the output is added.
    """

    def __init__(self, spec: ContainerSpec, folder: Path, log: Path) -> None:
        self._spec = spec
        self._folder = folder
        self._log = log
        self._shim: asyncio.subprocess.Process | None = None
        self._pid: int | None = None
        self.exit_code: int | None = None

    async def start(self) -> None:
        """Start the process. Once this returns, it executes the command, or has failed to."""
        root, scratch = self._folder / "root", self._folder / "scratch"
        for folder in (root, scratch):
            folder.mkdir(parents=True)
        spec = self._spec
        mounts = [
            *(Mount(path, folder, read_only=True) for path, folder in spec.image.folders.items()),
            *spec.mounts,
            Mount("/etc/hosts", spec.hosts, read_only=True),
        ]
        description = {
            "hostname": spec.hostname,
            "network": str(spec.network),
            "pid_file": str(self._folder / "pid"),
            "root": str(root),
            "scratch": str(scratch),
            "image": str(spec.image.root or ""),
            "files": dict(spec.image.files),
            "mounts": [asdict(mount) | {"source": str(mount.source)} for mount in mounts],
            "uid": spec.uid,
            "gid": spec.gid,
            "read_only": spec.read_only,
            "working_dir": spec.working_dir,
            "command": list(spec.command),
            "environment": dict(spec.environment),
        }
        (self._folder / "spec.json").write_text(json.dumps(description))
        with self._log.open("ab") as log:
            self._shim = await asyncio.create_subprocess_exec(
                *(sys.executable, "-I", "-S", str(SHIM), str(self._folder / "spec.json")),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        pid_file = self._folder / "pid"
        while self._shim.returncode is None and not (pid_file.exists() and pid_file.read_text()):
            await asyncio.sleep(0.005)
        self._pid = int(pid_file.read_text()) if pid_file.exists() else None

    async def wait(self) -> int:
        """Exit status, 128 + signal if one killed the process."""
        assert self._shim is not None
        self.exit_code = await self._shim.wait()
        return self.exit_code

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to process 1 of the container; nothing happens if it has gone."""
        if self._pid is not None and self.exit_code is None:
            with suppress(ProcessLookupError):
                os.kill(self._pid, number)

    async def execute(self, command: Sequence[str], seconds: float) -> int:
        """Run a command in the container. Returns its exit status, 128 + SIGKILL if it took too long."""
        if self._pid is None or self.exit_code is not None:
            return KILLED
        namespaces = ("--user", "--preserve-credentials", "--mount", "--net", "--pid")
        process = await asyncio.create_subprocess_exec(
            *("nsenter", "--target", str(self._pid), *namespaces, "--"),
            *command,
            env=dict(self._spec.environment),
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            return await asyncio.wait_for(process.wait(), seconds)
        except TimeoutError:
            process.kill()
            await process.wait()
            return KILLED
