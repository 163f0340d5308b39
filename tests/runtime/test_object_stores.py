"""What only an object store can do to us: no answer, no rights, no conditions, and objects that go up in parts."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import pytest
from yarl import URL

from ance.cli.stack import free_port
from ance.errors import AnceError, TemporaryError
from ance.runtime.artifacts import fetch, publish
from ance.runtime.contracts import Kind
from ance.runtime.store import Store, s3
from ance.runtime.store.backends import open_backend
from tests.object_stores import BUCKET, EMULATORS, az_environment
from tests.runtime.test_pointers import in_threads, ref

MIB = 1 << 20
pytestmark = pytest.mark.filterwarnings("ignore:Sending a large body directly:ResourceWarning")  # gcsfs' way


class Request(NamedTuple):
    method: str
    url: URL

    @property
    def lists(self) -> bool:
        query = self.url.query
        return "list-type" in query or query.get("comp") == "list" or self.url.path.endswith(f"/b/{BUCKET}/o")

    @property
    def sends_a_part(self) -> bool:
        query = self.url.query
        return "partNumber" in query or "upload_id" in query or query.get("comp") == "block"


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


@pytest.mark.usefixtures("small_parts")
def test_a_file_of_many_parts_goes_up_and_comes_down(store: Store, requests: list[Request], tmp_path: Path) -> None:
    source, target = tmp_path / "source.bin", tmp_path / "target.bin"
    source.write_bytes(os.urandom(MIB) * 11)
    store.upload(source, "large")
    assert sum(request.sends_a_part for request in requests) == 3
    store.download("large", target)
    assert target.read_bytes() == source.read_bytes() == store.read("large")


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


def test_an_artifact_is_published_fetched_and_kept_in_the_cache(
    store: Store, requests: list[Request], tmp_path: Path
) -> None:
    (tmp_path / "staging").mkdir()
    (tmp_path / "staging" / "vectors.npy").write_bytes(b"vectors")
    published = publish(store, "runs/demo/index/1", tmp_path / "staging", kind=Kind.INDEX, step=1, pointer="latest")
    assert store.read_pointer("latest") == published
    requests.clear()
    assert (fetch(store, published, tmp_path / "cache") / "vectors.npy").read_bytes() == b"vectors"
    assert [request for request in requests if "vectors.npy" in str(request.url)]
    requests.clear()
    fetch(store, published, tmp_path / "cache")
    assert not [request for request in requests if "vectors.npy" in str(request.url)]


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


def test_publishing_and_reading_ask_for_no_listing(store: Store, requests: list[Request]) -> None:
    store.write_new("runs/demo/manifest.json", b"x")
    store.move_pointer("runs/demo/latest/index.json", ref(1))
    store.move_pointer("runs/demo/latest/index.json", ref(2))
    assert store.read_pointer("runs/demo/latest/index.json") == ref(2)
    assert store.read("runs/demo/manifest.json") and store.exists("runs/demo/manifest.json")
    assert not store.exists("runs/demo/latest/negatives.json")
    assert store.read_pointer("runs/demo/latest/negatives.json") is None
    assert requests and not [request for request in requests if request.method == "GET" and request.lists]
    store.list("runs")
    assert requests[-1].lists


def test_a_read_and_a_look_are_one_request_each(store: Store, requests: list[Request]) -> None:
    store.write("there", b"x")
    for key, asks in (("missing", (store.read_pointer, store.exists)), ("there", (store.read, store.exists))):
        for ask in asks:
            requests.clear()
            ask(key)
            assert len(requests) == 1


def test_folders_are_told_from_files_and_from_neighbours_of_like_names(store: Store) -> None:
    for key in ("a/one/x", "a/one/y", "a/two/z/w", "a/file", "ab/three/x"):
        store.write(key, b"x")
    assert store.folders("a") == ["one", "two"]
    assert store.folders("nowhere") == []
    store.delete("a")
    assert store.list("ab") == ["ab/three/x"]


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


def test_a_bucket_that_is_not_there_is_said(scheme: str, url: str) -> None:
    with pytest.raises(AnceError, match=rf"store {scheme}://nowhere/x: there is no such bucket .*: create it"):
        Store.open(f"{scheme}://nowhere/x", retry_seconds=0).check_writable()


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


ASKS: dict[str, Callable[[Store, Path], object]] = {
    "read": lambda store, _: store.read("a"),
    "exists": lambda store, _: store.exists("a"),
    "write": lambda store, _: store.write("a", b"x"),
    "move_pointer": lambda store, _: store.move_pointer("a", ref(1)),
    "download": lambda store, folder: store.download("a", folder / "target"),
    "delete": lambda store, _: store.delete("a"),
}


@pytest.fixture(params=ASKS)
def ask(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[Store], object]:
    """A way to ask a store for something."""
    return lambda store: ASKS[request.param](store, tmp_path)


def test_no_answer_is_an_outage(
    scheme: str, elsewhere: Callable[[str], Store], requests: list[Request], ask: Callable[[Store], object]
) -> None:
    with pytest.raises(TemporaryError, match=r"unreachable, gave up: .*[Cc](ould no|anno)t connect"):
        ask(elsewhere(f"http://127.0.0.1:{free_port()}"))
    # The store waits and tries again, the libraries hardly.
    assert 1 <= len(requests) <= {"s3": 8, "gs": 2, "az": 3}[scheme]


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


def test_a_refusal_is_said_at_once(
    scheme: str, elsewhere: Callable[[str], Store], ask: Callable[[Store], object]
) -> None:
    said = answer(scheme, 403, "AccessDenied", "no rights to this bucket")
    with answering(said) as endpoint, pytest.raises(AnceError, match=r"could not [a-z ]+ a: .*") as refused:
        ask(elsewhere(endpoint))
    assert not isinstance(refused.value, TemporaryError)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("asks", ["read", "move_pointer"])
def test_an_overloaded_store_is_an_outage(
    scheme: str, elsewhere: Callable[[str], Store], asks: str, tmp_path: Path
) -> None:
    said = answer(scheme, 503, "SlowDown", "later please")
    with answering(said) as endpoint, pytest.raises(TemporaryError, match="unreachable, gave up"):
        ASKS[asks](elsewhere(endpoint), tmp_path)


def test_half_an_answer_is_an_outage(elsewhere: Callable[[str], Store]) -> None:
    said = Answer(206, "half", length=8)
    with answering(said) as endpoint, pytest.raises(TemporaryError, match="unreachable, gave up"):
        elsewhere(endpoint).read("a")


def test_missing_credentials_of_s3_are_said_at_once(
    object_store: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = open_backend(object_store("s3"), create=False)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    stranger = type(backend.fs)(skip_instance_cache=True)
    with pytest.raises(AnceError, match="Unable to locate credentials"):
        Store("s3://x", backend._replace(fs=stranger), retry_seconds=60).read("a")


def test_a_wrong_key_of_azure_is_said_at_once(object_store: Callable[[str], str]) -> None:
    backend = open_backend(object_store("az"), create=False)
    endpoint = backend.fs.service_client.url.rstrip("/").rpartition("/")[0]
    stranger = type(backend.fs)(
        connection_string=az_environment(endpoint, key="b3RoZXI=")["AZURE_STORAGE_CONNECTION_STRING"],
        skip_instance_cache=True,
    )
    with pytest.raises(AnceError, match="could not read a: Server failed to authenticate the request"):
        Store("az://x", backend._replace(fs=stranger), retry_seconds=60).read("a")


def test_an_azure_without_an_account_is_said(
    object_store: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    url = object_store("az")
    monkeypatch.delenv("AZURE_STORAGE_CONNECTION_STRING")
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", "a2V5")
    kind = type(open_backend(url, create=False).fs)
    kind.clear_instance_cache()
    with pytest.raises(AnceError, match="AZURE_STORAGE_ACCOUNT_NAME"):
        Store.open(url)


def test_a_blob_that_stands_for_a_folder_is_none(object_store: Callable[[str], str]) -> None:
    store = Store.open(object_store("az"), retry_seconds=0)
    store._fs.pipe_file(f"{store._root}/folder", b"")
    assert store.exists("folder")
    store._fs.setxattrs(f"{store._root}/folder", hdi_isfolder="true")
    assert not store.exists("folder")
