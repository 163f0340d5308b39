"""Namespaces of our own, in which the pod runner is root: network, mounts and processes are nobody else's."""

from __future__ import annotations

import asyncio
import functools
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path

import pytest

UNSHARE = (
    *("unshare", "--user", "--map-root-user", "--mount", "--net"),
    *("--pid", "--fork", "--kill-child=SIGKILL", "--mount-proc", "--"),
)
INSIDE = "POD_RUNNER_SANDBOX"
PROBE = "ip link add probe type veth peer name peer"


@functools.cache
def unavailable() -> str | None:
    """Why no sandbox can be had on this machine, None if it can."""
    missing = [program for program in ("unshare", "nsenter", "ip") if shutil.which(program) is None]
    if missing:
        return f"{', '.join(missing)} not installed (Debian: util-linux, iproute2)"
    tried = subprocess.run([*UNSHARE, "sh", "-c", PROBE], capture_output=True, text=True, check=False)
    return f"no user and network namespaces here: {tried.stderr.strip()}" if tried.returncode else None


def inside(command: Sequence[str]) -> tuple[str, ...]:
    """The command line that runs a command in a sandbox. Whatever it leaves running dies with it."""
    return (*UNSHARE, *command)


def sandboxed(test: Callable[[Path], Coroutine[None, None, None]]) -> Callable[[pytest.FixtureRequest, Path], None]:
    """Make a test of a coroutine function that runs in a sandbox of its own, in a process of its own."""

    def run(request: pytest.FixtureRequest, tmp_path: Path) -> None:
        if INSIDE in os.environ:
            asyncio.run(test(tmp_path))
            return
        if reason := unavailable():
            pytest.skip(reason)
        command = (sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", request.node.nodeid)
        finished = subprocess.run(
            inside(command),
            cwd=request.config.rootpath,
            env={**os.environ, INSIDE: "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert finished.returncode == 0, finished.stdout + finished.stderr

    run.__name__, run.__doc__ = test.__name__, test.__doc__
    return run
