"""Serving an application until the process is told to stop: drain first, then finish what is in flight."""

from __future__ import annotations

import logging
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import uvicorn
from fastapi import FastAPI

from ance.errors import AnceError
from ance.runtime.shutdown import Shutdown

log = logging.getLogger(__name__)


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens on the address (port 0: any free one).

    Raises:
        AnceError: the address is not free, or not ours.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:  # its text names the address
        raise AnceError(f"cannot listen: {error.strerror}; set ANCE_HOST or ANCE_PORT to a free address") from error


def serve_until(
    shutdown: Shutdown,
    app: FastAPI,
    listener: socket.socket,
    *,
    drain_seconds: float,
    shutdown_seconds: int,
) -> None:
    """Serve `app` in a thread until `shutdown` is requested, then stop in order.

    Uvicorn stops listening the moment it gets a signal, before load balancers know; so the signal is ours,
    and the server ends `drain_seconds` later.

    Args:
        drain_seconds: How long new requests are still accepted after the request to stop.
        shutdown_seconds: Longest wait, after that, for requests in flight.

    Raises:
        SystemExit: the application did not start; its log says why.
    """
    config = uvicorn.Config(
        app, lifespan="on", log_config=None, access_log=False, timeout_graceful_shutdown=shutdown_seconds
    )
    server = uvicorn.Server(config)
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="server") as thread:
        serving = thread.submit(server.run, sockets=[listener])
        serving.add_done_callback(lambda _: shutdown.request())
        log.info("listening", extra={"port": listener.getsockname()[1]})
        while not shutdown.wait(60):
            pass
        if not serving.done():
            log.info("shutting down", extra={"drain_seconds": drain_seconds})
            time.sleep(drain_seconds)
            server.should_exit = True
        serving.result()
