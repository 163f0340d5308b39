"""Servers that know one answer."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple


class Answer(NamedTuple):
    """What a server says to everything."""

    status: int
    body: str
    length: int | None = None
    """As announced, where it is not that of the body."""


def answer(scheme: str, status: int, code: str, text: str) -> Answer:
    """An error in the store's own words."""
    if scheme == "gs":
        return Answer(status, json.dumps({"error": {"code": status, "message": text}}))
    return Answer(status, f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{text}</Message></Error>")


@contextmanager
def answering(said: Answer) -> Iterator[str]:
    """Endpoint of a server that knows one answer."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def reply(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            length = said.length or len(said.body)
            self.send_response(said.status)
            self.send_header("Content-Length", str(length))
            self.send_header("Content-Range", f"bytes 0-{length - 1}/{length}")
            self.send_header("Content-Type", "application/json" if said.body.startswith("{") else "application/xml")
            self.send_header("Connection", "close")
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(said.body.encode())

        do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = reply  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
