"""One container of a pod through its starts, probes, restarts and its end."""

from __future__ import annotations

import asyncio
import itertools
import signal
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.pods.container import KILLED, Container, ContainerSpec
from tests.pods.probes import Check, Probe, checker

BACKOFF_SECONDS = (0.0, 1.0, 2.0, 4.0, 8.0)
"""Before each restart. A kubelet waits 10 s and more from the second on; a test has less time."""


@dataclass(frozen=True, slots=True)
class Orders:
    """What a pod tells the supervisor of one of its containers."""

    manifest: Mapping[str, Any]
    restart_policy: str
    address: str
    grace_seconds: float
    spec: Callable[[], ContainerSpec]
    """Resolves environment and mounts anew for each start."""


class ContainerSupervisor:
    """Runs a container as often as its pod's restart policy wants.

    Args:
        orders: what to run and how.
        folder: for each start a folder of its own below.
        log: file of the container's output.
        report: told of each event worth showing, in a line.
    """

    def __init__(self, orders: Orders, folder: Path, log: Path, report: Callable[[str], None]) -> None:
        self._orders = orders
        self._folder = folder
        self._log = log
        self._report = report
        self._starts = itertools.count()
        self._stopping = asyncio.Event()
        self.started = asyncio.Event()
        self.ready = False
        self.restarts = 0
        self.probe_kills = 0
        self.container: Container | None = None
        manifest = orders.manifest
        self._checks: dict[str, tuple[Probe, Check]] = {
            kind: (Probe(manifest[kind]), checker(manifest[kind], orders.address, manifest, self._execute))
            for kind in ("startupProbe", "readinessProbe", "livenessProbe")
            if manifest.get(kind)
        }

    async def run(self) -> int:
        """Exit status of the last start, when no other will follow."""
        while True:
            code = await self._run_once()
            policy = self._orders.restart_policy
            if self._stopping.is_set() or policy == "Never" or (policy == "OnFailure" and code == 0):
                return code
            self._report(f"{self._orders.manifest['name']} ended with {code}, restarting")
            backoff = BACKOFF_SECONDS[min(self.restarts, len(BACKOFF_SECONDS) - 1)]
            self.restarts += 1
            try:
                await asyncio.wait_for(self._stopping.wait(), backoff)
            except TimeoutError:
                continue
            return code

    async def stop(self) -> None:
        """preStop, SIGTERM and, after the pod's grace period, SIGKILL."""
        self._stopping.set()
        if self.container is not None and self.container.exit_code is None:
            await self._end(self.container)

    def kill(self) -> None:
        """SIGKILL, as the kernel's out-of-memory killer would."""
        if self.container is not None:
            self.container.signal(signal.SIGKILL)

    def abandon(self) -> None:
        """SIGKILL, and no other start."""
        self._stopping.set()
        self.kill()

    async def _run_once(self) -> int:
        self.container = Container(self._orders.spec(), self._folder / str(next(self._starts)), self._log)
        await self.container.start()
        probing = asyncio.create_task(self._probe(self.container))
        try:
            return await self.container.wait()
        finally:
            probing.cancel()
            self.ready = False
            self.started.clear()

    async def _probe(self, container: Container) -> None:
        if "startupProbe" in self._checks and not await self._await_startup(container):
            return
        self.started.set()
        self.ready = "readinessProbe" not in self._checks
        async with asyncio.TaskGroup() as probes:
            if "readinessProbe" in self._checks:
                probes.create_task(self._watch_readiness())
            if "livenessProbe" in self._checks:
                probes.create_task(self._watch_liveness(container))

    async def _await_startup(self, container: Container) -> bool:
        async for healthy in self._results("startupProbe"):
            if healthy is not None:
                if not healthy:
                    await self._end_by_probe(container, "startup")
                return healthy
        return False

    async def _watch_readiness(self) -> None:
        async for healthy in self._results("readinessProbe"):
            if healthy is not None:
                self.ready = healthy

    async def _watch_liveness(self, container: Container) -> None:
        async for healthy in self._results("livenessProbe"):
            if healthy is False:
                await self._end_by_probe(container, "liveness")
                return

    async def _results(self, kind: str) -> AsyncIterator[bool | None]:
        probe, check = self._checks[kind]
        probe.reset()
        await asyncio.sleep(probe.delay)
        while True:
            yield probe.record(await check())
            await asyncio.sleep(probe.period)

    async def _end_by_probe(self, container: Container, kind: str) -> None:
        self.probe_kills += 1
        self._report(f"{kind} probe of {self._orders.manifest['name']} failed: stopping it")
        await self._end(container)

    async def _end(self, container: Container) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._orders.grace_seconds
        state = "" if self.started.is_set() else " while it started"
        await self._pre_stop(container)
        container.signal(signal.SIGTERM)
        while container.exit_code is None:
            if loop.time() > deadline:
                self._report(f"{self._orders.manifest['name']} outlived its grace period{state}: killed")
                container.signal(signal.SIGKILL)
                return
            await asyncio.sleep(0.02)

    async def _pre_stop(self, container: Container) -> None:
        hook = (self._orders.manifest.get("lifecycle") or {}).get("preStop") or {}
        if "sleep" in hook:
            await asyncio.sleep(min(float(hook["sleep"]["seconds"]), self._orders.grace_seconds))
        elif hook:
            check = checker(
                {**hook, "timeoutSeconds": self._orders.grace_seconds},
                self._orders.address,
                self._orders.manifest,
                self._execute,
            )
            if not await check():
                self._report(f"preStop of {self._orders.manifest['name']} failed")

    async def _execute(self, command: list[str], seconds: float) -> int:
        return KILLED if self.container is None else await self.container.execute(command, seconds)
