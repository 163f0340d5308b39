"""Real services as processes that start in milliseconds, to be killed by the dozen.

They are forked from a server that has imported everything, with the environment a pod would have. What they lack
of the real thing is only their store's good network.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import ance.runtime.store.store as stores
import services.indexer.wiring as indexer
import services.inferencer.loop as inferencer_loop
import services.inferencer.wiring as inferencer
from ance.runtime.contracts import EncodeTask
from ance.runtime.process import run_service
from ance.runtime.store.backends import Backend, open_backend
from tests.chaos.clock import Clock
from tests.chaos.faults import Faults, faulty

MAINS = {"indexer": indexer.main, "inferencer": inferencer.main}

context = multiprocessing.get_context("forkserver")
context.set_forkserver_preload([__name__])


@dataclass(frozen=True)
class Conditions:
    """What the processes of a test have to live with."""

    folder: Path
    """For logs and for the list of encodings that were begun."""
    environment: Mapping[str, str]
    faults: Faults | None = None
    poison: Path | None = None
    """While this file exists, the task whose id it contains fails."""
    clock: Clock | None = None
    """What the processes take for the time of day."""


@dataclass
class Fleet:
    """Processes by name, started again when they die as a kubelet would."""

    conditions: Conditions
    processes: dict[str, ForkServerProcess] = field(default_factory=dict)
    started: int = 0

    def start(self, name: str) -> None:
        """Start `indexer-N` or `inferencer-N`."""
        self.started += 1
        process = context.Process(target=serve, args=(name, self.started, self.conditions), name=name, daemon=True)
        process.start()
        self.processes[name] = process

    def revive(self) -> None:
        """Start again whoever has died. Who has finished, with status 0, rests."""
        for name, process in list(self.processes.items()):
            if process.exitcode not in (None, 0):
                self.start(name)

    def signal(self, name: str, number: signal.Signals) -> None:
        """Send a signal to a process that runs."""
        process = self.processes[name]
        if process.pid is not None and process.exitcode is None:
            os.kill(process.pid, number)

    def running(self, service: str) -> list[str]:
        """Names of the processes of a service that run."""
        return [name for name, process in self.processes.items() if name.startswith(service) and process.is_alive()]

    def finished(self, service: str) -> bool:
        """Whether all processes of a service have done what there was to do."""
        return all(process.exitcode == 0 for name, process in self.processes.items() if name.startswith(service))

    def stop(self) -> None:
        """End all, also those that are stopped."""
        for process in self.processes.values():
            process.kill()
            process.join()


def serve(name: str, number: int, conditions: Conditions) -> None:
    """Body of a process."""
    log = os.open(conditions.folder / f"{name}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.environ.update(conditions.environment)
    os.environ["ANCE_HOLDER"] = f"{name}-{number}"
    if conditions.clock is not None:
        conditions.clock.install()
    if conditions.faults is not None:
        stores.open_backend = _unreliable(conditions.faults, number)
    inferencer_loop.Inferencer._encode = _watched(conditions)  # type: ignore[method-assign]
    service = name.split("-")[0]
    run_service(service, MAINS[service])


def _unreliable(faults: Faults, number: int) -> Callable[..., Backend]:
    def opened(url: str, *, create: bool) -> Backend:
        return faulty(open_backend(url, create=create), Faults(**{**vars(faults), "seed": faults.seed + number}))

    return opened


def _watched(conditions: Conditions) -> Callable[..., Any]:
    """The encoding of a task, which is noted as it begins, and fails for the poisonous one."""
    encode = inferencer_loop.Inferencer._encode

    def begin(self: Any, task: EncodeTask, *positional: Any, **named: Any) -> Any:
        with (conditions.folder / "begun").open("a") as begun:
            begun.write(f"{task.id}\n")
        if conditions.poison is not None and conditions.poison.exists() and conditions.poison.read_text() == task.id:
            raise ValueError("this row cannot be encoded")
        return encode(self, task, *positional, **named)

    return begin


def wait_for(condition: Callable[[], bool], seconds: float, meanwhile: Callable[[], None] = lambda: None) -> None:
    """Return once the condition is true."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        meanwhile()
        time.sleep(0.05)
