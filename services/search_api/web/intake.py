"""What a request may cost: the size and the pace of its body, its time, and the interest of its client."""

from __future__ import annotations

import asyncio
import math
from contextlib import suppress
from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.search_api.settings import SearchSettings
from services.search_api.web import problems
from services.search_api.web.problems import ProblemError

TIMEOUT_HEADER = "X-Request-Timeout"
CLOSE = {"Connection": "close"}


class ClientGone(Exception):
    """Nobody is left to answer."""


class Intake:
    """Reads the whole body, then lets the application work until it has answered, time is up, or the client goes.

    The application is cancelled in the last two cases, and with it what it has waiting on workers.
    """

    def __init__(self, app: ASGIApp, settings: SearchSettings) -> None:
        self._app = app
        self._settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        try:
            seconds = self._seconds(headers)
            body = await self._read(headers, receive)
            # Only now: an answer before the body was read would reach the client as a broken connection.
            _check_media_type(scope["method"], headers)
            await self._work(scope, receive, send, body, seconds)
        except ProblemError as problem:
            await problem.respond(scope["path"])(scope, receive, send)
        except ClientGone:
            return

    def _seconds(self, headers: Headers) -> float:
        """How long the request may take."""
        given = headers.get(TIMEOUT_HEADER)
        if given is None:
            return self._settings.request_seconds
        with suppress(ValueError):
            seconds = float(given)
            if 0 < seconds < math.inf:
                return min(seconds, self._settings.request_seconds)
        raise ProblemError(
            HTTPStatus.BAD_REQUEST,
            problems.INVALID_REQUEST,
            f"header {TIMEOUT_HEADER}: give a positive number of seconds",
        )

    async def _read(self, headers: Headers, receive: Receive) -> bytes:
        limit = self._settings.max_body_bytes
        announced = headers.get("content-length", "0")
        if announced.isdecimal() and int(announced) > limit:
            raise self._too_large()
        parts, size = [], 0
        try:
            async with asyncio.timeout(self._settings.body_seconds):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise ClientGone
                    part = message.get("body", b"")
                    parts.append(part)
                    size += len(part)
                    if size > limit:
                        raise self._too_large()
                    if not message.get("more_body", False):
                        return b"".join(parts)
        except TimeoutError:
            detail = f"The body did not arrive within {self._settings.body_seconds:g} s."
            raise ProblemError(HTTPStatus.REQUEST_TIMEOUT, problems.SLOW_BODY, detail, CLOSE) from None

    def _too_large(self) -> ProblemError:
        detail = f"The body is larger than {self._settings.max_body_bytes} bytes; send fewer or shorter texts."
        return ProblemError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, problems.TOO_LARGE, detail, CLOSE)

    async def _work(self, scope: Scope, receive: Receive, send: Send, body: bytes, seconds: float) -> None:
        answering = False

        async def sending(message: Message) -> None:
            nonlocal answering
            answering = True
            await send(message)

        gone = asyncio.create_task(_gone(receive))
        work = asyncio.create_task(self._answer(scope, _replay(body, gone), sending))
        try:
            await asyncio.wait({work, gone}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            if not work.done() and gone.done():
                raise ClientGone
            if not work.done() and not answering:
                detail = f"There was no answer within {seconds:g} s; ask for less, or allow more in {TIMEOUT_HEADER}."
                raise ProblemError(HTTPStatus.GATEWAY_TIMEOUT, problems.DEADLINE, detail)
            await work
        finally:
            gone.cancel()
            if not work.done():
                work.cancel()
                with suppress(asyncio.CancelledError):
                    await work

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)


def _check_media_type(method: str, headers: Headers) -> None:
    if method != "POST":
        return
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    json = kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json"))
    if not json or headers.get("content-encoding", "identity").lower() != "identity":
        raise ProblemError(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE, problems.MEDIA, "Send JSON as application/json, not compressed."
        )


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _replay(body: bytes, gone: asyncio.Task[None]) -> Receive:
    """A `receive` that gives the body once, and then only tells when the client has gone."""
    told = False

    async def receive() -> Message:
        nonlocal told
        if not told:
            told = True
            return {"type": "http.request", "body": body, "more_body": False}
        await asyncio.shield(gone)
        return {"type": "http.disconnect"}

    return receive
