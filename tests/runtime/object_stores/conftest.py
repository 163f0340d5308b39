"""What the tests of object stores share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import aiohttp
import pytest
from yarl import URL

from ance.runtime.store import Store, s3
from ance.runtime.store.backends import open_backend
from tests.object_stores import EMULATORS
from tests.runtime.object_stores.wire import Request

MIB = 1 << 20


@pytest.fixture(params=EMULATORS)
def scheme(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def url(scheme: str, object_store: Callable[[str], str]) -> str:
    return object_store(scheme)


@pytest.fixture
def store(url: str) -> Store:
    return Store.open(url, retry_seconds=0)


@pytest.fixture
def requests(store: Store, monkeypatch: pytest.MonkeyPatch) -> list[Request]:
    """What goes over the wire: all three libraries send through aiohttp."""
    made: list[Request] = []
    send = aiohttp.ClientSession._request

    async def noted(self: aiohttp.ClientSession, method: str, url: Any, **named: Any) -> Any:
        made.append(Request(method, URL(str(url)).update_query(named.get("params") or {})))
        return await send(self, method, url, **named)

    monkeypatch.setattr(aiohttp.ClientSession, "_request", noted)
    return made


@pytest.fixture
def elsewhere(url: str, scheme: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Store]]:
    """Opens the store at another endpoint."""
    kind = type(open_backend(url, create=False).fs)

    def opened(endpoint: str) -> Store:
        for name, value in EMULATORS[scheme].environment(endpoint).items():
            monkeypatch.setenv(name, value)
        kind.clear_instance_cache()  # a client keeps the environment that it has found
        return Store.open(url, retry_seconds=0)

    yield opened
    kind.clear_instance_cache()


@pytest.fixture
def small_parts(scheme: str, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts of 5 MiB, the smallest that S3 allows."""
    fs = store._fs
    match scheme:
        case "s3":
            monkeypatch.setattr(s3, "PART_BYTES", 5 * MIB)
            monkeypatch.setattr("s3fs.core.calculate_chunksize", lambda size, chunksize: 5 * MIB)
            monkeypatch.setattr(fs, "default_block_size", 5 * MIB)
        case "gs":
            put_file = fs.put_file
            monkeypatch.setattr(fs, "put_file", lambda *paths: put_file(*paths, chunksize=5 * MIB))
        case "az":
            settings = fs.service_client._config
            for name in ("max_single_put_size", "max_block_size", "max_single_get_size", "max_chunk_get_size"):
                monkeypatch.setattr(settings, name, 5 * MIB)
