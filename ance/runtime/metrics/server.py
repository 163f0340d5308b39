"""The scrape port: /metrics apart from the traffic of the service."""

from __future__ import annotations

from threading import Thread
from wsgiref.simple_server import WSGIServer

from prometheus_client import CollectorRegistry, ProcessCollector, start_http_server

from ance.errors import AnceError


class MetricsServer:
    """Answers scrapes from a thread of its own, until `stop` or the end of the `with` block."""

    def __init__(self, server: WSGIServer, thread: Thread) -> None:
        self._server = server
        self._thread = thread

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


def serve(registry: CollectorRegistry, port: int, host: str = "0.0.0.0") -> MetricsServer:
    """Serve the registry, and the CPU and memory of this process, at http://host:port/metrics.

    Args:
        registry: Metrics of one service.
        port: TCP port (0: any free one).
        host: Address to listen on.

    Raises:
        AnceError: the port is in use or not permitted.
    """
    try:
        server, thread = start_http_server(port, host, registry)
    except OSError as error:
        raise AnceError(
            f"cannot serve metrics on {host}:{port}: {error.strerror}; stop the process that holds the port, "
            "or choose another with ANCE_METRICS_PORT (0: any free one)"
        ) from error
    ProcessCollector(registry=registry)
    return MetricsServer(server, thread)
