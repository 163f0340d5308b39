import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from grpc import aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from tests.pods.manifests import ManifestError
from tests.pods.probes import Probe, checker

HERE = "127.0.0.1"


async def never(command: list[str], seconds: float) -> int:
    raise AssertionError("no command is to be run")


def check(probe: dict[str, Any], port: int) -> bool:
    return asyncio.run(_check(probe, port))


async def _check(probe: dict[str, Any], port: int) -> bool:
    container = {"name": "c", "ports": [{"name": "http", "containerPort": port}]}
    return await checker(probe, HERE, container, never)()


@asynccontextmanager
async def http_server(status: str) -> AsyncIterator[int]:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readline()
        found = status if request.startswith(b"GET /readyz ") else "404 Not Found"
        writer.write(f"HTTP/1.1 {found}\r\n\r\n".encode())
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, HERE, 0) as server:
        yield server.sockets[0].getsockname()[1]


@pytest.mark.parametrize(
    ("status", "path", "healthy"),
    [("200 OK", "/readyz", True), ("503 Unavailable", "/readyz", False), ("200 OK", "/nowhere", False)],
)
def test_http_is_healthy_from_200_to_399(status: str, path: str, healthy: bool) -> None:
    async def main() -> bool:
        async with http_server(status) as port:
            return await _check({"httpGet": {"path": path, "port": "http"}}, port)

    assert asyncio.run(main()) is healthy


def test_tcp_is_healthy_while_somebody_listens() -> None:
    async def main() -> tuple[bool, bool]:
        async with http_server("200 OK") as port:
            listening = await _check({"tcpSocket": {"port": port}}, port)
        return listening, await _check({"tcpSocket": {"port": port}}, port)

    assert asyncio.run(main()) == (True, False)


def test_grpc_is_healthy_while_the_service_says_so() -> None:
    async def main() -> list[bool]:
        server = aio.server()
        servicer = health.aio.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
        port = server.add_insecure_port(f"{HERE}:0")
        await server.start()
        results = [await _check({"grpc": {"port": port}}, port)]
        await servicer.set("", health_pb2.HealthCheckResponse.NOT_SERVING)
        results.append(await _check({"grpc": {"port": port}}, port))
        await server.stop(0)
        return results

    assert asyncio.run(main()) == [True, False]


def test_a_command_is_healthy_when_it_exits_with_0() -> None:
    async def execute(command: list[str], seconds: float) -> int:
        return 0 if command == ["true"] and seconds == 1 else 1

    async def main(*command: str) -> bool:
        return await checker({"exec": {"command": list(command)}}, HERE, {"name": "c"}, execute)()

    assert asyncio.run(main("true"))
    assert not asyncio.run(main("false"))


def test_a_probe_of_a_port_that_no_container_has_is_an_error() -> None:
    with pytest.raises(ManifestError, match="container c has no port named metrics"):
        check({"httpGet": {"port": "metrics"}}, 1)


def test_thresholds_decide_when_results_count() -> None:
    probe = Probe({"successThreshold": 2, "failureThreshold": 3})
    results = [probe.record(success) for success in (True, True, False, False, True, False, False, False)]
    assert results == [None, True, None, None, None, None, None, False]


def test_defaults_are_the_kubelets() -> None:
    probe = Probe({})
    assert (probe.period, probe.delay, probe.timeout) == (10, 0, 1)
    assert [probe.record(False) for _ in range(3)] == [None, None, False]
