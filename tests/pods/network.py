"""The network of the sandbox: a bridge, an address for each pod, addresses for Services on the node."""

from __future__ import annotations

import asyncio
import itertools
from pathlib import Path

NODE_ADDRESS = "10.244.0.1"


class Network:
    """Pods in network namespaces of their own, so that each can listen on the ports its manifest names."""

    def __init__(self) -> None:
        self._pods = itertools.count(2)
        self._services = itertools.count(1)

    async def start(self) -> None:
        """Set up the node. The addresses exist in the sandbox only."""
        await run("mount", "-t", "tmpfs", "tmpfs", "/run")
        await ip(
            "link set lo up",
            "link add cni0 type bridge",
            f"address add {NODE_ADDRESS}/16 dev cni0",
            "link set cni0 up",
        )

    async def attach(self, pod: str) -> tuple[str, Path]:
        """A network for a pod: its address and its namespace."""
        number = next(self._pods)
        address = f"10.244.{number // 250}.{number % 250 + 2}"
        await run("ip", "netns", "add", pod)
        await ip(
            f"link add veth{number} type veth peer name eth0 netns {pod}",
            f"link set veth{number} master cni0 up",
        )
        await ip(
            "link set lo up",
            f"address add {address}/16 dev eth0",
            "link set eth0 up",
            f"route add default via {NODE_ADDRESS}",
            namespace=pod,
        )
        return address, Path("/run/netns") / pod

    async def detach(self, pod: str) -> None:
        """Take a pod's network away."""
        await run("ip", "netns", "delete", pod)

    async def service_address(self) -> str:
        """A new address of the node, for a Service."""
        number = next(self._services)
        address = f"10.96.{number // 250}.{number % 250 + 1}"
        await ip(f"address add {address}/32 dev lo")
        return address


async def ip(*commands: str, namespace: str | None = None) -> None:
    """Run commands of ip(8) in the node's namespace or a pod's."""
    where = ("-netns", namespace) if namespace else ()
    await run("ip", *where, "-batch", "-", text="\n".join(commands))


async def run(*command: str, text: str = "") -> None:
    """Run a program to its end.

    Raises:
        OSError: it failed; the message is what it said.
    """
    process = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await process.communicate(text.encode())
    if process.returncode:
        raise OSError(f"{' '.join(command)}: {output.decode().strip()}")
