"""The HTTP side: requests in, answers and streams of events out."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from tests.kubernetes_api.kinds import Object, Refusal
from tests.kubernetes_api.routes import Call

JSON = "application/json"
Answer = Callable[[Call], Object | str | Iterator[Object]]


class Listener(ThreadingHTTPServer):
    """Listens on a port of the loopback interface.

    Args:
        port: 0 for any.
        answer: to each request; a `Refusal` that it raises is an answer too.
    """

    daemon_threads = True
    block_on_close = False

    def __init__(self, port: int, answer: Answer) -> None:
        self._open: set[Any] = set()
        self.answer = answer
        super().__init__(("127.0.0.1", port), _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def close_all(self) -> None:
        """Close the port and every connection."""
        self.server_close()
        for request in list(self._open):
            self.shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that has hung up is none of our business."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # headers and body go in two packets: each answer would take 40 ms
    server: Listener

    def _handle(self) -> None:
        parts = urlsplit(self.path)
        call = Call(
            method=self.command,
            path=parts.path,
            query=dict(parse_qsl(parts.query)),
            content_type=self.headers.get("Content-Type", "").partition(";")[0],
            agent=self.headers.get("User-Agent", ""),
            body=self.rfile.read(int(self.headers.get("Content-Length") or 0)),
        )
        try:
            answer = self.server.answer(call)
        except Refusal as refusal:
            said = {"reason": refusal.reason, "message": refusal.message, "code": refusal.status}
            status = {"kind": "Status", "apiVersion": "v1", "status": "Failure", **said}
            self._send(refusal.status, json.dumps(status))
        else:
            if isinstance(answer, str):
                self._send(200, answer, "text/plain")
            elif isinstance(answer, dict):
                self._send(201 if call.method == "POST" else 200, json.dumps(answer))
            else:
                self._stream(answer)

    def _send(self, status: int, answer: str, content_type: str = JSON) -> None:
        data = answer.encode()
        self._begin(status, content_type, "Content-Length", str(len(data)))
        self.wfile.write(data)

    def _stream(self, events: Iterator[Object]) -> None:
        self._begin(200, JSON, "Transfer-Encoding", "chunked")
        for event in events:
            # A line break between events means nothing, and tells whether the client is still there.
            data = json.dumps(event).encode() if event else b"\n"
            self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
            self.wfile.flush()

    def _begin(self, status: int, content_type: str, header: str, value: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header(header, value)
        self.end_headers()

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _handle  # noqa: N815

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""
