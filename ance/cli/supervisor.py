"""Processes of the local stack: started, watched, restarted as a kubelet would, and stopped."""

import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from ance.errors import AnceError
from ance.runtime.process import USER_ERROR, die_with_parent

GRACE_SECONDS = 20.0
"""Between SIGTERM and SIGKILL: enough for the trainer to save a checkpoint."""
CRASH_LIMIT = 5
CRASH_WINDOW_SECONDS = 180.0
"""Five starts of a service that imports PyTorch take a minute or more on a busy machine."""


@dataclass(frozen=True, slots=True)
class ProcessSpec:
    """One process of the stack. A process that runs to an end is not restarted after exit status 0."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    runs_to_an_end: bool = False
    stops_last: bool = False
    """The others need it until they have gone."""


@dataclass(slots=True)
class _Running:
    spec: ProcessSpec
    process: subprocess.Popen[bytes]
    log: IO[bytes]
    began: int
    """Bytes in the log when the process was started."""
    deaths: deque[float] = field(default_factory=lambda: deque(maxlen=CRASH_LIMIT))
    finished: bool = False


class Supervisor:
    """Runs processes until `stop`. Each writes to `<logs>/<name>.log`.

    Args:
        logs: folder of the logs.
        grace_seconds: time between SIGTERM and SIGKILL.
    """

    def __init__(self, logs: Path, grace_seconds: float = GRACE_SECONDS) -> None:
        self._logs = logs
        self._grace_seconds = grace_seconds
        self._running: dict[str, _Running] = {}
        self._events: list[str] = []
        logs.mkdir(parents=True, exist_ok=True)

    def start(self, spec: ProcessSpec) -> None:
        """Start a process."""
        path = self._log_file(spec.name)
        log = path.open("ab")
        began = path.stat().st_size
        self._running[spec.name] = _Running(spec, _launch(spec, log), log, began)

    def check(self) -> None:
        """Restart what has died. To be called about once a second.

        Raises:
            AnceError: a process ended with a user's error, or keeps dying; the message has what it said last.
        """
        for running in self._running.values():
            status = running.process.poll()
            if status is None or running.finished:
                continue
            if status == 0 and running.spec.runs_to_an_end:
                running.finished = True
                continue
            self._restart(running, status)

    def remove(self, name: str) -> None:
        """Stop one process."""
        running = self._running.pop(name)
        self._stop([running])
        running.log.close()

    def finished(self, name: str) -> bool:
        """True once a process that runs to an end has ended well."""
        return self._running[name].finished

    def pid(self, name: str) -> int:
        """Process id now; a restart changes it."""
        return self._running[name].process.pid

    def new_events(self) -> list[str]:
        """What happened to the processes since this was asked last, a line each."""
        events, self._events = self._events, []
        return events

    def stop(self) -> None:
        """SIGTERM to all, SIGKILL to those still there after the grace period."""
        self._stop([running for running in self._running.values() if not running.spec.stops_last])
        self._stop([running for running in self._running.values() if running.spec.stops_last])
        for running in self._running.values():
            running.log.close()
        self._running.clear()

    def _stop(self, processes: list[_Running]) -> None:
        alive = [running for running in processes if running.process.poll() is None]
        for running in alive:
            running.process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + self._grace_seconds
        for running in alive:
            try:
                running.process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                self._events.append(f"{running.spec.name} did not stop in {self._grace_seconds:g} s: killed")
                running.process.kill()
                running.process.wait()

    def _restart(self, running: _Running, status: int) -> None:
        name, path = running.spec.name, self._log_file(running.spec.name)
        cause = f"signal {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"
        if status == USER_ERROR:
            raise AnceError(f"{name}: {self._last_words(running)}")
        running.deaths.append(time.monotonic())
        if len(running.deaths) == CRASH_LIMIT and running.deaths[-1] - running.deaths[0] < CRASH_WINDOW_SECONDS:
            raise AnceError(
                f"{name} died {CRASH_LIMIT} times within {CRASH_WINDOW_SECONDS:.0f} s, last with {cause}: "
                f"{self._last_words(running)} (see {path})"
            )
        self._events.append(f"{name} died ({cause}): restarted, see {path}")
        running.began = path.stat().st_size
        running.process = _launch(running.spec, running.log)

    def _log_file(self, name: str) -> Path:
        return self._logs / f"{name}.log"

    def _last_words(self, running: _Running) -> str:
        """The error that a service of ours ended with, else the last line since the process was started."""
        with self._log_file(running.spec.name).open("rb") as log:
            log.seek(running.began)
            lines = log.read().decode(errors="replace").strip().splitlines()
        for line in reversed(lines):
            prefix, said, error = line.partition(": error: ")
            if said and prefix.startswith("ance-"):
                return error
        return lines[-1] if lines else "it printed nothing"


def python_service(
    name: str, module: str, environment: Mapping[str, str], *, runs_to_an_end: bool = False
) -> ProcessSpec:
    """A service of this project in the interpreter that runs the command."""
    return ProcessSpec(name, (sys.executable, "-m", module), environment, runs_to_an_end)


def _launch(spec: ProcessSpec, log: IO[bytes]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        spec.command,
        env={**os.environ, **spec.environment},
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        # Ctrl-C goes to the supervisor alone, which then stops the services in order.
        start_new_session=True,
        preexec_fn=die_with_parent,
    )
