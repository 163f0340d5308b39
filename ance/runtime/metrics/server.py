"""The port for machines that watch: /metrics, and the probes of a kubelet, apart from the traffic of the service."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable
from socketserver import ThreadingMixIn
from threading import Thread
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from prometheus_client import CollectorRegistry, ProcessCollector, make_wsgi_app

from ance.errors import AnceError
from ance.runtime.health import Health

PROBES = ("/startupz", "/readyz", "/livez")


class MetricsServer:
    """Answers from threads of its own, until `stop` or the end of the `with` block."""

    def __init__(self, server: WSGIServer) -> None:
        self._server = server
        self._thread = Thread(target=server.serve_forever, name="metrics", daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        """The TCP port it listens on."""
        return self._server.server_port

    def stop(self) -> None:
        """Close the port."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> MetricsServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def serve(
    registry: CollectorRegistry, port: int, host: str = "0.0.0.0", *, health: Health | None = None
) -> MetricsServer:
    """Serve the registry, and the CPU and memory of this process, at http://host:port/metrics.

    Args:
        registry: Metrics of one service.
        port: TCP port (0: any free one).
        host: Address to listen on.
        health: Answers /startupz, /readyz and /livez with 200 `ok`, or with 503 and the reason.

    Raises:
        AnceError: the port is in use or not permitted.
    """
    try:
        server = (_IPv6Server if ":" in host else _Server)((host, port), _SilentHandler)
    except OSError as error:
        raise AnceError(
            f"cannot serve metrics on {host}:{port}: {error.strerror}; stop the process that holds the port, "
            "or choose another with ANCE_METRICS_PORT (0: any free one)"
        ) from error
    ProcessCollector(registry=registry)
    server.set_app(_app(registry, health))
    return MetricsServer(server)


def _app(registry: CollectorRegistry, health: Health | None) -> Callable[..., Iterable[bytes]]:
    metrics: Callable[..., Iterable[bytes]] = make_wsgi_app(registry)

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if path == "/metrics":
            return metrics(environ, start_response)
        if health is None or path not in PROBES:
            status, text = "404 Not Found", f"no such path; try {', '.join(('/metrics', *PROBES))}"
        elif reason := health.check(path):
            status, text = "503 Service Unavailable", reason
        else:
            status, text = "200 OK", "ok"
        start_response(status, [("Content-Type", "text/plain; charset=utf-8"), ("Cache-Control", "no-store")])
        return [f"{text}\n".encode()]

    return app


class _Server(ThreadingMixIn, WSGIServer):
    """A slow scrape must not hold up a probe."""

    daemon_threads = True


class _IPv6Server(_Server):
    address_family = socket.AF_INET6


class _SilentHandler(WSGIRequestHandler):
    """The log belongs to the service."""

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""
