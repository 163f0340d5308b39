"""Conditional writes: of many writers one creates, and of many moves of a pointer none is lost."""

from __future__ import annotations

import time
from importlib import import_module
from typing import Any

import pytest

from ance.errors import AnceError
from ance.runtime.store import Store
from ance.runtime.store.backends import open_backend
from tests.runtime.test_pointers import in_threads

MIB = 1 << 20
pytestmark = pytest.mark.filterwarnings("ignore:Sending a large body directly:ResourceWarning")  # gcsfs' way


@pytest.mark.usefixtures("small_parts")
def test_put_if_absent_holds_for_large_objects(store: Store) -> None:
    first = bytes(11 * MIB)
    assert store.write_new("large", first)
    assert not store.write_new("large", b"1" * len(first))
    assert store.read("large") == first


@pytest.mark.parametrize("scheme", ["gs", "az"])  # moto looks and completes in two steps
@pytest.mark.usefixtures("small_parts")
def test_of_many_writers_of_a_large_object_one_creates_it_whole(store: Store) -> None:
    created: list[int] = []
    contents = [bytes([number]) * 11 * MIB for number in range(4)]
    in_threads(4, lambda number: store.write_new("large", contents[number]) and created.append(number))
    assert len(created) == 1
    assert store.read("large") == contents[created[0]]


def test_a_pointer_that_is_deleted_between_reading_and_writing_is_moved_again(store: Store) -> None:
    backend = open_backend(store.url, create=False)
    writer, path = backend.writer, f"{backend.root}/pointer"
    writer.replace(path, b"1")
    seen: list[bytes | None] = []

    def change(data: bytes | None) -> bytes:
        seen.append(data)
        if data is not None:
            store.delete("pointer")
        return b"2"

    assert writer.swap(path, change)
    assert seen == [b"1", None]
    assert store.read("pointer") == b"2"


def test_a_pointer_that_another_moves_between_reading_and_writing_is_read_again(store: Store) -> None:
    """Every one of 8 increments counts."""
    backend = open_backend(store.url, create=False)
    writer, path = backend.writer, f"{backend.root}/count"

    def increment(data: bytes | None) -> bytes:
        time.sleep(0.005)
        return b"%d" % (int(data or 0) + 1)

    in_threads(8, lambda _: writer.swap(path, increment))
    assert store.read("count") == b"8"


def test_a_store_that_ignores_conditions_is_refused(scheme: str, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    method = {"s3": "_call_s3", "gs": "_call", "az": "upload_blob"}[scheme]
    client: Any = import_module("azure.storage.blob.aio").BlobClient if scheme == "az" else type(store._fs)
    call = getattr(client, method)

    async def unconditional(self: Any, *positional: Any, **named: Any) -> Any:
        kept = {key: named[key] for key in named if "match" not in key.lower() and key != "etag"}
        return await call(self, *positional, **({**kept, "overwrite": True} if scheme == "az" else kept))

    monkeypatch.setattr(client, method, unconditional)
    with pytest.raises(AnceError, match="ignores conditional writes"):
        store.check_writable()
    assert store._fs.find(store._root) == []
