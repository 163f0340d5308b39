"""Asking an application in this process, without a socket."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import httpx
from starlette.types import ASGIApp

T = TypeVar("T")


def asking(app: ASGIApp, ask: Callable[[httpx.AsyncClient], Awaitable[T]]) -> T:
    """The result of `ask` with a client of the application, whose lifespan does not run."""

    async def main() -> T:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return await ask(client)

    return asyncio.run(main())
