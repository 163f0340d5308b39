"""Objects go up in parts, are seen at once, and cost no listing."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from ance.runtime.artifacts import fetch, publish
from ance.runtime.contracts import Kind
from ance.runtime.store import Store
from tests.runtime.object_stores.wire import Request
from tests.runtime.test_pointers import ref

MIB = 1 << 20
pytestmark = pytest.mark.filterwarnings("ignore:Sending a large body directly:ResourceWarning")  # gcsfs' way


@pytest.mark.usefixtures("small_parts")
def test_a_file_of_many_parts_goes_up_and_comes_down(store: Store, requests: list[Request], tmp_path: Path) -> None:
    source, target = tmp_path / "source.bin", tmp_path / "target.bin"
    source.write_bytes(os.urandom(MIB) * 11)
    store.upload(source, "large")
    assert sum(request.sends_a_part for request in requests) == 3
    store.download("large", target)
    assert target.read_bytes() == source.read_bytes() == store.read("large")


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


def test_a_blob_that_stands_for_a_folder_is_none(object_store: Callable[[str], str]) -> None:
    store = Store.open(object_store("az"), retry_seconds=0)
    store._fs.pipe_file(f"{store._root}/folder", b"")
    assert store.exists("folder")
    store._fs.setxattrs(f"{store._root}/folder", hdi_isfolder="true")
    assert not store.exists("folder")
