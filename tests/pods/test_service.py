import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any, cast

from tests.pods.pod import Pod
from tests.pods.service import PROPAGATION_SECONDS, Service

HERE = "127.0.0.1"
MANIFEST: dict[str, Any] = {
    "metadata": {"name": "web"},
    "spec": {"selector": {"app": "web"}, "ports": [{"port": 0, "targetPort": "http"}]},
}


@dataclass(eq=False)
class FakePod:
    name: str
    number: int = 0
    ready: bool = True
    terminating: bool = False
    address: str = HERE
    labels: dict[str, str] = field(default_factory=lambda: {"app": "web"})

    def port(self, port: int | str) -> int:
        return self.number


def pods(*fakes: FakePod) -> list[Pod]:
    return [cast(Pod, fake) for fake in fakes]


def settled(service: Service, *fakes: FakePod) -> list[str]:
    """Names of the endpoints once what the pods are has become known."""
    service.update(pods(*fakes), 0.0)
    service.update(pods(*fakes), PROPAGATION_SECONDS)
    return [pod.name for pod in service.endpoints]


def test_endpoints_are_ready_pods_that_stay() -> None:
    fakes = (
        FakePod("serving"),
        FakePod("starting", ready=False),
        FakePod("leaving", terminating=True),
        FakePod("other", labels={"app": "other"}),
    )
    assert settled(Service(MANIFEST, HERE), *fakes) == ["serving"]


def test_a_service_can_publish_pods_that_are_not_ready() -> None:
    manifest = {**MANIFEST, "spec": {**MANIFEST["spec"], "publishNotReadyAddresses": True}}
    assert settled(Service(manifest, None), FakePod("starting", ready=False)) == ["starting"]


def test_a_change_is_known_only_after_a_while() -> None:
    service, pod = Service(MANIFEST, HERE), FakePod("a")
    assert settled(service, pod) == ["a"]
    pod.ready = False
    service.update(pods(pod), 10.0)
    assert [known.name for known in service.endpoints] == ["a"]
    service.update(pods(pod), 10.0 + PROPAGATION_SECONDS)
    assert service.endpoints == []


def test_names_lead_to_the_address_or_to_the_pods_of_a_headless_service() -> None:
    domain = "space.svc.cluster.local"
    assert Service(MANIFEST, "10.0.0.1").host_lines(domain) == [
        "10.0.0.1 web.space.svc.cluster.local web.space.svc web.space web"
    ]
    headless = Service(MANIFEST, None)
    settled(headless, FakePod("web-0"))
    (line,) = headless.host_lines(domain)
    assert line.split()[0] == HERE and {"web", "web-0.web", "web-0.web.space.svc.cluster.local"} <= set(line.split())


def test_pods_without_a_port_variable_of_their_own_get_the_service_links() -> None:
    links = Service({**MANIFEST, "metadata": {"name": "ance-search"}}, "10.0.0.1").links()
    assert links["ANCE_SEARCH_PORT"] == "tcp://10.0.0.1:0"


def test_connections_go_to_the_endpoints_in_turn_and_are_refused_without_one() -> None:
    async def main() -> list[str]:
        service = Service(MANIFEST, HERE)
        async with AsyncExitStack() as stack:
            fakes = [FakePod(name, await _echo(stack, name)) for name in ("a", "b")]
            await service.start()
            port = service.ports[0]
            answers = [await _ask(port)]
            settled(service, *fakes)
            answers += [await _ask(port) for _ in range(4)]
            await service.cut()
        return answers

    assert asyncio.run(main()) == ["", "a:hello", "b:hello", "a:hello", "b:hello"]


async def _echo(stack: AsyncExitStack, name: str) -> int:
    """Port of a server that repeats a line with its name before it."""
    server = await asyncio.start_server(_repeat(name), HERE, 0)
    await stack.enter_async_context(server)
    return int(server.sockets[0].getsockname()[1])


def _repeat(name: str) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Any]:
    async def repeat(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(f"{name}:".encode() + await reader.readline())
        await writer.drain()
        writer.close()

    return repeat


async def _ask(port: int) -> str:
    reader, writer = await asyncio.open_connection(HERE, port)
    try:
        writer.write(b"hello\n")
        return (await reader.read()).decode().strip()
    except ConnectionError:
        return ""
    finally:
        writer.close()
