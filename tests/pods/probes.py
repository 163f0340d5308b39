"""Startup, readiness and liveness probes, with the kubelet's defaults and thresholds."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any

from tests.pods.manifests import ManifestError

Check = Callable[[], Awaitable[bool]]
Execute = Callable[[list[str], float], Awaitable[int]]


class Probe:
    """Thresholds of a probe, and how its latest results count.

    Args:
        spec: of the manifest.
    """

    def __init__(self, spec: Mapping[str, Any]) -> None:
        self._spec = spec
        self.reset()

    def reset(self) -> None:
        """Begin anew, with another start of the container."""
        self._successes = self._failures = 0

    @property
    def period(self) -> float:
        """Seconds between checks."""
        return float(self._spec.get("periodSeconds", 10))

    @property
    def delay(self) -> float:
        """Seconds before the first check."""
        return float(self._spec.get("initialDelaySeconds", 0))

    @property
    def timeout(self) -> float:
        """Seconds a check may take."""
        return float(self._spec.get("timeoutSeconds", 1))

    def record(self, success: bool) -> bool | None:
        """Count a result. True or False when a threshold is reached, None in between."""
        if success:
            self._successes, self._failures = self._successes + 1, 0
            return True if self._successes >= self._spec.get("successThreshold", 1) else None
        self._failures, self._successes = self._failures + 1, 0
        return False if self._failures >= self._spec.get("failureThreshold", 3) else None


def checker(probe: Mapping[str, Any], address: str, container: Mapping[str, Any], execute: Execute) -> Check:
    """The check that a probe's handler asks for.

    Args:
        probe: of the manifest.
        address: of the pod.
        container: whose ports have names.
        execute: runs a command in the container within some seconds and returns its exit status.

    Raises:
        ManifestError: the handler is unknown, or its port is.
    """
    seconds = float(probe.get("timeoutSeconds", 1))
    if "exec" in probe:
        command = [str(word) for word in probe["exec"]["command"]]

        async def executed() -> bool:
            return await execute(command, seconds) == 0

        return executed
    for kind, ask in (("httpGet", http), ("tcpSocket", tcp), ("grpc", grpc)):
        if kind in probe:
            port = port_number(container, probe[kind]["port"])
            return partial(_answers, partial(ask, address, port, probe[kind]), seconds)
    raise ManifestError(f"container {container['name']}: a probe without a handler")


async def _answers(ask: Check, seconds: float) -> bool:
    try:
        return await asyncio.wait_for(ask(), seconds)
    except (OSError, TimeoutError, EOFError):
        return False


def port_number(container: Mapping[str, Any], port: int | str) -> int:
    """Number of a port that a manifest gives by number or by name.

    Raises:
        ManifestError: the container has no port of that name.
    """
    if isinstance(port, int) or port.isdigit():
        return int(port)
    for declared in container.get("ports") or ():
        if declared.get("name") == port:
            return int(declared["containerPort"])
    raise ManifestError(f"container {container['name']} has no port named {port}")


async def http(address: str, port: int, handler: Mapping[str, Any]) -> bool:
    """GET, good from 200 to 399."""
    reader, writer = await asyncio.open_connection(address, port)
    try:
        headers = {"Host": address, "User-Agent": "kube-probe", "Connection": "close"}
        headers |= {header["name"]: header["value"] for header in handler.get("httpHeaders") or ()}
        lines = [f"GET {handler.get('path', '/')} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
        writer.write("\r\n".join([*lines, "", ""]).encode())
        await writer.drain()
        status = (await reader.readline()).split()
        return len(status) > 1 and 200 <= int(status[1]) < 400
    finally:
        writer.close()


async def tcp(address: str, port: int, handler: Mapping[str, Any]) -> bool:
    """Somebody listens."""
    _, writer = await asyncio.open_connection(address, port)
    writer.close()
    return True


async def grpc(address: str, port: int, handler: Mapping[str, Any]) -> bool:
    """grpc.health.v1 says SERVING."""
    from grpc import RpcError, aio
    from grpc_health.v1 import health_pb2, health_pb2_grpc

    async with aio.insecure_channel(f"{address}:{port}") as channel:
        request = health_pb2.HealthCheckRequest(service=handler.get("service") or "")
        try:
            reply = await health_pb2_grpc.HealthStub(channel).Check(request)
        except RpcError:
            return False
        return bool(reply.status == health_pb2.HealthCheckResponse.SERVING)
