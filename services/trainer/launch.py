"""Start a trainer process for each GPU of this pod, and end when they do: `python -m services.trainer.launch`.

In place of torchrun, which would do but for how it ends: its agent exits with 1 whatever a worker exited with, and
kills workers 30 s after SIGTERM. A Job must know a user's mistake (2) from an interruption (143), and the last
checkpoint of a large model takes longer. Workers get the variables that torchrun sets.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt

from ance.errors import AnceError
from ance.runtime.environment import Environment
from ance.runtime.process import TERMINATED, USER_ERROR, die_with_parent, run_service
from ance.runtime.settings import load
from ance.runtime.shutdown import Shutdown

TRAINER = (sys.executable, "-m", "services.trainer")
LOOK_SECONDS = 0.2
LEAVING_SHARE = 0.95
"""Of the grace period: workers that are left then are killed, so that this process still says how it ended."""


class LaunchSettings(Environment):
    """Environment of the launcher (prefix ANCE_), beside that of the trainer, which its workers inherit."""

    processes: PositiveInt = 1
    """Trainer processes in this pod, one a GPU."""
    nodes: PositiveInt = 1
    """Pods that train together."""
    node_rank: NonNegativeInt = 0
    """Number of this pod."""
    master_addr: str = "127.0.0.1"
    """Name or address of pod 0."""
    master_port: int = Field(default=29500, ge=1, le=65535)
    """Port where the processes find each other."""
    threads: PositiveInt | None = None
    """CPU threads for the tensor work of all processes of this pod (unset: as many as the libraries choose)."""
    grace_seconds: PositiveFloat = 120.0
    """Time between SIGTERM and SIGKILL."""

    def environment(self, local_rank: int) -> dict[str, str]:
        """What worker `local_rank` of this pod is told besides."""
        told = {
            "RANK": self.node_rank * self.processes + local_rank,
            "LOCAL_RANK": local_rank,
            "WORLD_SIZE": self.nodes * self.processes,
            "LOCAL_WORLD_SIZE": self.processes,
            "MASTER_ADDR": self.master_addr,
            "MASTER_PORT": self.master_port,
        }
        if self.threads is not None:
            told["ANCE_THREADS"] = max(1, self.threads // self.processes)
        return {name: str(value) for name, value in told.items()}


def launch(
    settings: LaunchSettings, shutdown: Shutdown, environ: Mapping[str, str], command: Sequence[str] = TRAINER
) -> int:
    """Run the workers to their end. When one fails, the others are told to stop: they cannot go on without it.

    Returns:
        0 when all have finished; 2 when one found a mistake of the user's; else how the first ended that failed, as a
        shell would say it; 143 when none did and one was interrupted, as the survivors of a failure are.
    """
    workers = [
        subprocess.Popen(command, env={**environ, **settings.environment(local_rank)}, preexec_fn=die_with_parent)
        for local_rank in range(settings.processes)
    ]
    codes: list[int] = []
    killed: list[subprocess.Popen[bytes]] = []
    told_at: float | None = None
    while workers:
        ended = [worker for worker in workers if worker.poll() is not None]
        codes += [TERMINATED if worker in killed else _exit_code(worker.returncode) for worker in ended]
        workers = [worker for worker in workers if worker not in ended]
        if told_at is None and (shutdown.requested or any(codes)):
            told_at = time.monotonic()
            for worker in workers:
                worker.terminate()
        if told_at is not None and time.monotonic() - told_at > LEAVING_SHARE * settings.grace_seconds:
            killed = workers
            for worker in killed:
                worker.kill()
        if workers:
            # After the wish to stop, shutdown.wait would not wait any more.
            time.sleep(LOOK_SECONDS) if shutdown.requested else shutdown.wait(LOOK_SECONDS)
    if USER_ERROR in codes:
        return USER_ERROR
    return next((code for code in codes if code not in (0, TERMINATED)), max(codes))


def _exit_code(returned: int) -> int:
    """As a shell says it: a signal is 128 and its number."""
    return 128 - returned if returned < 0 else returned


def main() -> None:
    """Launch the workers that the environment asks for.

    Raises:
        SystemExit: always, with the exit code of `launch`.
    """
    settings = load(LaunchSettings)
    if settings.node_rank >= settings.nodes:
        raise AnceError(f"ANCE_NODE_RANK is {settings.node_rank}, and ANCE_NODES {settings.nodes}: count from 0")
    with Shutdown() as shutdown:
        sys.exit(launch(settings, shutdown, os.environ))


if __name__ == "__main__":
    run_service("trainer", main)
