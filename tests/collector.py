"""An OTLP/HTTP collector: it decodes what services send it, as any other would."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue


@dataclass(frozen=True)
class Received:
    """A span as it arrived; ids are in hexadecimal, times in seconds."""

    name: str
    trace: str
    id: str
    parent: str
    kind: int
    began: float
    ended: float
    failed: bool
    attributes: dict[str, Any]
    links: tuple[str, ...]
    """Ids of the linked spans."""
    resource: dict[str, Any]

    @property
    def service(self) -> str:
        """Whose it is."""
        return str(self.resource["service.name"])


@dataclass
class Collector:
    """Where spans arrive."""

    url: str
    headers: list[dict[str, str]] = field(default_factory=list)
    """Of the requests."""
    _spans: list[Received] = field(default_factory=list)

    @property
    def spans(self) -> list[Received]:
        """All that arrived so far."""
        return list(self._spans)

    def named(self, name: str) -> list[Received]:
        """The spans of a name, in order of their beginning."""
        return sorted((span for span in self.spans if span.name == name), key=lambda span: span.began)

    def children(self, parent: Received) -> dict[str, Received]:
        """The spans right below a span, by name."""
        return {span.name: span for span in self.spans if span.parent == parent.id}

    def wait_for(self, condition: Callable[[Collector], object], seconds: float = 20) -> None:
        """Return once the condition is true."""
        deadline = time.monotonic() + seconds
        while not condition(self):
            assert time.monotonic() < deadline, f"not received; there are {sorted(span.name for span in self.spans)}"
            time.sleep(0.01)

    def receive(self, body: bytes) -> None:
        """Decode one export."""
        for resource_spans in ExportTraceServiceRequest.FromString(body).resource_spans:
            resource = values(resource_spans.resource.attributes)
            for scope_spans in resource_spans.scope_spans:
                self._spans += [
                    Received(
                        name=span.name,
                        trace=span.trace_id.hex(),
                        id=span.span_id.hex(),
                        parent=span.parent_span_id.hex(),
                        kind=span.kind,
                        began=span.start_time_unix_nano / 1e9,
                        ended=span.end_time_unix_nano / 1e9,
                        failed=span.status.code == span.status.STATUS_CODE_ERROR,
                        attributes=values(span.attributes),
                        links=tuple(link.span_id.hex() for link in span.links),
                        resource=resource,
                    )
                    for span in scope_spans.spans
                ]


def values(attributes: Any) -> dict[str, Any]:
    """Attributes as Python values."""

    def value(of: AnyValue) -> Any:
        return getattr(of, of.WhichOneof("value") or "string_value")

    pairs: list[KeyValue] = list(attributes)
    return {pair.key: value(pair.value) for pair in pairs}


@contextmanager
def collector() -> Iterator[Collector]:
    """A collector on a loopback port, for the length of the block."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            found.headers.append(dict(self.headers))
            found.receive(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200 if self.path == "/v1/traces" else 404)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        found = Collector(f"http://127.0.0.1:{server.server_address[1]}")
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield found
        finally:
            server.shutdown()
            thread.join()
