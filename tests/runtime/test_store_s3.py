"""What only an object store can do to us: no answer, no rights, no conditions, and objects that go up in parts."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ance.cli.stack import free_port
from ance.errors import AnceError
from ance.runtime.store import Store, s3
from ance.runtime.store.backends import open_backend
from ance.runtime.store.object_writer import ObjectWriter
from ance.runtime.store.s3 import S3Objects
from tests.object_stores import BUCKET
from tests.runtime.test_pointers import ref

MIB = 1 << 20


@pytest.fixture
def store(s3_url: str) -> Store:
    return Store.open(s3_url, retry_seconds=0)


@pytest.fixture
def calls(store: Store, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the requests that s3fs makes."""
    fs, made = store._fs, []
    call = type(fs)._call_s3

    async def counted(self: Any, method: str, *positional: Any, **named: Any) -> Any:
        made.append(method)
        return await call(self, method, *positional, **named)

    monkeypatch.setattr(type(fs), "_call_s3", counted)
    return made


@pytest.fixture
def unplugged(s3_endpoint: str) -> Store:
    """A store whose endpoint nobody listens on. Its options make it a client of its own."""
    backend = open_backend(f"s3://{BUCKET}/x", create=False)
    fs = type(backend.fs)(endpoint_url=f"http://127.0.0.1:{free_port()}", skip_instance_cache=True)
    fs.retries = 1
    fs.config_kwargs = backend.fs.config_kwargs
    objects = S3Objects(fs)
    unplugged = backend._replace(fs=fs, writer=ObjectWriter(fs, objects), head=objects.size)
    return Store("s3://unplugged", unplugged, retry_seconds=0)


@pytest.fixture
def small_parts(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The smallest parts that S3 allows."""
    monkeypatch.setattr(s3, "PART_BYTES", 5 * MIB)
    monkeypatch.setattr("s3fs.core.calculate_chunksize", lambda size, chunksize: 5 * MIB)
    monkeypatch.setattr(store._fs, "default_block_size", 5 * MIB)


@pytest.mark.usefixtures("small_parts")
def test_a_file_of_many_parts_goes_up_and_comes_down(store: Store, calls: list[str], tmp_path: Path) -> None:
    source, target = tmp_path / "source.bin", tmp_path / "target.bin"
    source.write_bytes(os.urandom(MIB) * 11)
    store.upload(source, "large")
    assert calls.count("upload_part") == 3 and "put_object" not in calls
    store.download("large", target)
    assert calls.count("get_object") > 1  # ranges, side by side
    assert target.read_bytes() == source.read_bytes() == store.read("large")


@pytest.mark.usefixtures("small_parts")
def test_put_if_absent_holds_for_objects_of_many_parts(store: Store, calls: list[str]) -> None:
    first = bytes(11 * MIB)
    assert store.write_new("large", first)
    assert not store.write_new("large", b"1" * len(first))
    assert calls.count("complete_multipart_upload") == 2 and calls.count("abort_multipart_upload") == 1
    assert store.read("large") == first


def test_what_another_client_wrote_is_seen_at_once(store: Store) -> None:
    """Nothing that was seen before, missing or listed, is remembered."""
    other = Store.open(store.url)
    assert not store.exists("a/b")
    assert store.list("a") == []
    other.write("a/b", b"x")
    assert store.exists("a/b")
    assert store.list("a") == ["a/b"]
    other.delete("a/b")
    assert not store.exists("a/b")


def test_publishing_and_reading_ask_for_no_listing(store: Store, calls: list[str]) -> None:
    store.write_new("runs/demo/manifest.json", b"x")
    store.move_pointer("runs/demo/latest/index.json", ref(1))
    store.move_pointer("runs/demo/latest/index.json", ref(2))
    assert store.read_pointer("runs/demo/latest/index.json") == ref(2)
    assert store.read("runs/demo/manifest.json") and store.exists("runs/demo/manifest.json")
    assert not store.exists("runs/demo/latest/negatives.json")
    assert store.read_pointer("runs/demo/latest/negatives.json") is None
    assert not [call for call in calls if "list" in call]


def test_a_read_and_a_look_are_one_request_each(store: Store, calls: list[str]) -> None:
    store.write("there", b"x")
    for ask in (store.read_pointer, store.exists):
        calls.clear()
        ask("missing")
        assert len(calls) == 1
    calls.clear()
    store.read("there")
    assert calls == ["get_object"]


def test_a_pointer_that_is_deleted_between_reading_and_writing_is_moved_again(store: Store) -> None:
    writer, path = open_backend(store.url, create=False).writer, f"{store.url.removeprefix('s3://')}/pointer"
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


def test_a_bucket_that_is_not_there_is_said(s3_endpoint: str) -> None:
    with pytest.raises(AnceError, match=r"store s3://nowhere/x: there is no such bucket .*: create it"):
        Store.open("s3://nowhere/x", retry_seconds=0).check_writable()


def test_a_store_that_ignores_conditions_is_refused(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    fs = type(store._fs)
    call = fs._call_s3

    async def unconditional(self: Any, method: str, *positional: Any, **named: Any) -> Any:
        return await call(self, method, *positional, **{key: named[key] for key in named if "Match" not in key})

    monkeypatch.setattr(fs, "_call_s3", unconditional)
    with pytest.raises(AnceError, match="ignores conditional writes"):
        store.check_writable()
    assert store._fs.find(store._root) == []


@pytest.mark.parametrize(
    "ask",
    [
        lambda store, _: store.read("a"),
        lambda store, _: store.exists("a"),
        lambda store, _: store.write("a", b"x"),
        lambda store, folder: store.download("a", folder / "a"),
    ],
)
def test_no_answer_is_an_outage(unplugged: Store, tmp_path: Path, ask: Callable[[Store, Path], object]) -> None:
    started = time.monotonic()
    with pytest.raises(AnceError, match=r"unreachable, gave up: .*Could not connect"):
        ask(unplugged, tmp_path)
    assert time.monotonic() - started < 30


def test_missing_credentials_are_said_at_once(s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    backend = open_backend(f"s3://{BUCKET}/x", create=False)
    stranger = type(backend.fs)(skip_instance_cache=True)
    with pytest.raises(AnceError, match="Unable to locate credentials"):
        Store("s3://x", backend._replace(fs=stranger), retry_seconds=60).read("a")
