"""Searches that go on while the cluster changes under them."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from types import TracebackType

import httpx

INTERVAL_SECONDS = 0.1


class Searches:
    """Asks a Service ten times a second, each time over a new connection, and keeps book.

    Args:
        address: host:port of the Service.
        query: what is asked.
    """

    def __init__(self, address: str, query: str) -> None:
        self._url = f"http://{address}/v1/search"
        self._query = query
        self.succeeded = 0
        self.failures: list[str] = []
        self.versions: list[int] = []
        """Versions of the index that answered, in the order of their first answers."""

    async def __aenter__(self) -> Searches:
        self._asking = asyncio.create_task(self._ask())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._asking.cancel()
        with suppress(asyncio.CancelledError):
            await self._asking

    async def _ask(self) -> None:
        limits = httpx.Limits(max_keepalive_connections=0)
        async with httpx.AsyncClient(limits=limits, timeout=20, trust_env=False) as client:
            while True:
                await self._ask_once(client)
                await asyncio.sleep(INTERVAL_SECONDS)

    async def _ask_once(self, client: httpx.AsyncClient) -> None:
        try:
            response = await client.post(self._url, json={"query": self._query, "top_k": 3})
            version = response.raise_for_status().json()["index"]["version"]
        except httpx.HTTPError as error:
            self.failures.append(f"after {self.succeeded} searches: {error!r}")
            return
        self.succeeded += 1
        if version not in self.versions:
            self.versions.append(version)
