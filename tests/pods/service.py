"""Services: an address of the node that passes connections on to ready pods, as kube-proxy does."""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from tests.pods.manifests import Object, selects
from tests.pods.pod import Pod

PROPAGATION_SECONDS = 0.5
"""Until every node knows of a change of endpoints. A pod that stops must go on answering at least this long."""


class Service:
    """A Service and what it currently leads to.

    Args:
        manifest: of the Service.
        address: its ClusterIP; None for a headless one.
    """

    def __init__(self, manifest: Object, address: str | None) -> None:
        self.name: str = manifest["metadata"]["name"]
        self.address = address
        self._spec: Mapping[str, Any] = manifest["spec"]
        self._turn = itertools.count()
        self._servers: list[asyncio.Server] = []
        self._history: deque[tuple[float, list[Pod]]] = deque()
        self._connections: set[asyncio.Task[None]] = set()
        self.endpoints: list[Pod] = []

    async def start(self) -> None:
        """Listen on every port of the Service."""
        for port in self._spec["ports"] if self.address else ():
            self._servers.append(await asyncio.start_server(self._handler(port), self.address, port["port"]))

    def stop(self) -> None:
        """Listen no more. Connections that exist go on until a side closes them."""
        for server in self._servers:
            server.close()

    async def cut(self) -> None:
        """Close all connections."""
        self.stop()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    @property
    def ports(self) -> list[int]:
        """Ports that it listens on."""
        return [int(server.sockets[0].getsockname()[1]) for server in self._servers]

    def update(self, pods: Iterable[Pod], now: float) -> None:
        """Look at the pods; what is seen counts once it has propagated."""
        publish = bool(self._spec.get("publishNotReadyAddresses"))
        seen = [
            pod
            for pod in pods
            if selects(self._spec.get("selector") or {}, pod.labels)
            and pod.address
            and (publish or (pod.ready and not pod.terminating))
        ]
        self._history.append((now, seen))
        while self._history and self._history[0][0] <= now - PROPAGATION_SECONDS:
            self.endpoints = self._history.popleft()[1]

    def links(self) -> dict[str, str]:
        """Variables that the kubelet puts into pods with service links."""
        if self.address is None:
            return {}
        prefix, port = self.name.upper().replace("-", "_"), self._spec["ports"][0]["port"]
        return {
            f"{prefix}_SERVICE_HOST": self.address,
            f"{prefix}_SERVICE_PORT": str(port),
            f"{prefix}_PORT": f"tcp://{self.address}:{port}",
        }

    def host_lines(self, domain: str) -> list[str]:
        """Lines of /etc/hosts. A headless Service is its pods, each by the name of its host too.

        Args:
            domain: of Services, e.g. `default.svc.cluster.local`.
        """
        names = _names(self.name, domain)
        if self.address is not None:
            return [f"{self.address} {names}"]
        return [f"{pod.address} {names} {_names(f'{pod.name}.{self.name}', domain)}" for pod in self.endpoints]

    def _handler(self, port: Mapping[str, Any]) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], None]:
        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            connection = asyncio.create_task(self._connect(port, reader, writer))
            self._connections.add(connection)
            connection.add_done_callback(self._connections.discard)

        return accept

    async def _connect(
        self, port: Mapping[str, Any], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        try:
            if not self.endpoints:
                return
            pod = self.endpoints[next(self._turn) % len(self.endpoints)]
            target = pod.port(port.get("targetPort", port["port"]))
            pod_reader, pod_writer = await asyncio.open_connection(pod.address, target)
            try:
                async with asyncio.TaskGroup() as directions:
                    directions.create_task(_pipe(reader, pod_writer))
                    directions.create_task(_pipe(pod_reader, writer))
            finally:
                pod_writer.close()
        except* OSError:  # the pod has gone: the client sees a closed connection, as it would anywhere
            pass
        finally:
            writer.close()


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65_536):
        writer.write(data)
        await writer.drain()
    with suppress(OSError):
        writer.write_eof()


def _names(name: str, domain: str) -> str:
    """The forms in which a name is looked up, from the longest to the shortest."""
    labels: Sequence[str] = domain.split(".")
    return " ".join(".".join([name, *labels[:count]]) for count in (len(labels), 2, 1, 0))
