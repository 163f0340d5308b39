"""Artifacts: there as a whole or not at all, and verified by whoever reads them."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ance.errors import AnceError
from ance.runtime.artifacts import (
    ArtifactNotFound,
    CorruptArtifact,
    fetch,
    publish,
    publish_existing,
    published,
    read_manifest,
    stored_entry,
)
from ance.runtime.artifacts import manifests as manifests_module
from ance.runtime.artifacts.manifests import file_sha256
from ance.runtime.contracts import ArtifactRef, Kind, Part
from ance.runtime.layout import RunLayout, manifest_of
from ance.runtime.store import StaleFencingToken, Store
from tests.object_stores import EMULATORS

LAYOUT = RunLayout("demo")
PREFIX = LAYOUT.checkpoint(300)
POINTER = LAYOUT.pointer("checkpoint")
FILES = {"model.safetensors": b"weights", "trainer_state/optimiser.safetensors": b"moments"}


@pytest.fixture(params=["file", "memory", *EMULATORS])
def store(request: pytest.FixtureRequest, object_store: Callable[[str], str], tmp_path: Path) -> Store:
    """One store whose folder is read in place, and others that have to be downloaded from."""
    match request.param:
        case "file":
            return Store.open(str(tmp_path / "store"), create=True, retry_seconds=0)
        case "memory":
            return Store.open(f"memory://{uuid.uuid4().hex}", retry_seconds=0)
    return Store.open(object_store(request.param), retry_seconds=0)


@pytest.fixture
def file_store(tmp_path: Path) -> Store:
    return Store.open(str(tmp_path / "store"), create=True, retry_seconds=0)


@pytest.fixture
def memory_store() -> Store:
    return Store.open(f"memory://{uuid.uuid4().hex}", retry_seconds=0)


def stage(tmp_path: Path, files: dict[str, bytes] = FILES) -> Path:
    folder = tmp_path / f"staging-{uuid.uuid4().hex}"
    for path, data in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    return folder


def put(store: Store, tmp_path: Path, files: dict[str, bytes] = FILES, **settings: Any) -> ArtifactRef:
    settings = {"kind": Kind.CHECKPOINT, "run_id": "demo", "step": 300, "pointer": POINTER} | settings
    return publish(store, PREFIX, stage(tmp_path, files), **settings)


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != "manifest.json"
    }


def visible(cache: Path) -> list[str]:
    return [path.name for path in cache.iterdir() if not path.name.endswith(".lock")]


def test_what_is_published_is_fetched(store: Store, tmp_path: Path) -> None:
    ref = put(store, tmp_path, parents={"negatives": "0" * 64}, config_sha256="1" * 64, stats={"loss": 0.5})
    assert contents(fetch(store, ref, tmp_path / "cache")) == FILES
    assert contents(fetch(store, PREFIX, tmp_path / "cache")) == FILES
    manifest = read_manifest(store, ref.manifest_uri, ref.manifest_sha256)
    assert (manifest.kind, manifest.run_id, manifest.step) == (Kind.CHECKPOINT, "demo", 300)
    assert (manifest.parents, manifest.stats) == ({"negatives": "0" * 64}, {"loss": 0.5})
    assert published(store, PREFIX) == ref
    assert store.read_pointer(POINTER) == ref


def test_the_staging_folder_is_taken_over_unless_it_is_to_be_kept(store: Store, tmp_path: Path) -> None:
    taken, kept = stage(tmp_path), stage(tmp_path)
    publish(store, "datasets/one", taken, kind=Kind.DATASET)
    publish(store, "datasets/two", kept, kind=Kind.DATASET, keep_staging=True)
    assert not taken.exists()
    (kept / "model.safetensors").write_bytes(b"other")
    assert contents(fetch(store, "datasets/two", tmp_path / "cache")) == FILES


def test_a_publisher_that_dies_before_the_manifest_has_published_nothing(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(self: Store, key: str, data: bytes) -> bool:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Store, "write_new", die)
        with pytest.raises(KeyboardInterrupt):
            put(store, tmp_path)
    assert store.exists(f"{PREFIX}/model.safetensors")
    assert published(store, PREFIX) is None
    assert store.read_pointer(POINTER) is None
    with pytest.raises(ArtifactNotFound, match="nothing is published there"):
        fetch(store, PREFIX, tmp_path / "cache")
    ref = put(store, tmp_path, FILES | {"model.safetensors": b"weights of the restarted trainer"})
    assert store.read_pointer(POINTER) == ref


def test_half_a_file_under_its_final_name_is_not_published_and_is_replaced(store: Store, tmp_path: Path) -> None:
    """As a store without atomic writes would leave it, where the writer has died."""
    for path, data in FILES.items():
        store.write(f"{PREFIX}/{path}", data[: len(data) // 2])
    assert published(store, PREFIX) is None
    assert contents(fetch(store, put(store, tmp_path), tmp_path / "cache")) == FILES


def test_half_a_file_that_another_writer_leaves_under_a_published_name_is_found(store: Store, tmp_path: Path) -> None:
    ref = put(store, tmp_path)
    store.write(f"{PREFIX}/model.safetensors", FILES["model.safetensors"][:3])
    with pytest.raises(CorruptArtifact, match=r"model.safetensors: has 3 bytes, its manifest says 7"):
        fetch(store, ref, tmp_path / "cache")


def test_half_a_manifest_is_no_version_and_is_not_taken_for_one(store: Store, tmp_path: Path) -> None:
    """Put-if-absent finds it there: whoever publishes or reads names it, until a person has deleted it."""
    manifest = store.read(put(store, tmp_path).manifest_uri)
    store.delete(POINTER)
    store.write(manifest_of(PREFIX), manifest[: len(manifest) // 2])
    for use in (
        lambda: published(store, PREFIX),
        lambda: fetch(store, PREFIX, tmp_path / "cache"),
        lambda: put(store, tmp_path),
    ):
        with pytest.raises(CorruptArtifact, match=f"{manifest_of(PREFIX)}: not a manifest"):
            use()
    assert store.read_pointer(POINTER) is None
    store.delete(manifest_of(PREFIX))
    assert contents(fetch(store, put(store, tmp_path), tmp_path / "cache")) == FILES


def test_publishing_the_same_files_again_changes_nothing(store: Store, tmp_path: Path) -> None:
    assert put(store, tmp_path) == put(store, tmp_path, stats={"at": "another time"})


def test_a_new_leader_that_publishes_the_same_files_again_moves_the_pointer_under_its_lease(
    store: Store, tmp_path: Path
) -> None:
    first = put(store, tmp_path, fencing_token=1, pointer=None)
    second = put(store, tmp_path, fencing_token=2)
    assert second.manifest_sha256 == first.manifest_sha256
    assert store.read_pointer(POINTER) == second
    assert second.fencing_token == 2


def test_other_files_of_a_step_need_a_newer_lease(store: Store, tmp_path: Path) -> None:
    put(store, tmp_path, fencing_token=1)
    with pytest.raises(StaleFencingToken, match="other files are published there under fencing token 1"):
        put(store, tmp_path, {"model.safetensors": b"other"}, fencing_token=1)
    assert contents(fetch(store, PREFIX, tmp_path / "cache")) == FILES
    ref = put(store, tmp_path, {"model.safetensors": b"other"}, fencing_token=2)
    folder = fetch(store, ref, tmp_path / "cache")
    assert (folder / "model.safetensors").read_bytes() == b"other"
    assert store.read_pointer(POINTER) == ref


def test_a_stale_leader_is_refused_before_it_uploads(store: Store, tmp_path: Path) -> None:
    put(store, tmp_path, fencing_token=5)
    with pytest.raises(StaleFencingToken, match="older token 4 is refused"):
        publish(
            store,
            LAYOUT.checkpoint(400),
            stage(tmp_path),
            kind=Kind.CHECKPOINT,
            step=400,
            fencing_token=4,
            pointer=POINTER,
        )
    assert store.list(LAYOUT.checkpoint(400)) == []


def test_of_two_publishers_of_one_step_the_second_manifest_is_not_written_over(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other one publishes between our check and our manifest."""
    write_new = Store.write_new

    def other_first(self: Store, key: str, data: bytes) -> bool:
        monkeypatch.setattr(Store, "write_new", write_new)
        put(self, tmp_path, {"model.safetensors": b"theirs"})
        return write_new(self, key, data)

    monkeypatch.setattr(Store, "write_new", other_first)
    with pytest.raises(StaleFencingToken):
        put(store, tmp_path)
    manifest = read_manifest(store, manifest_of(PREFIX))
    assert [entry.path for entry in manifest.files] == ["model.safetensors"]


def test_the_pointer_stays_at_a_newer_step(store: Store, tmp_path: Path) -> None:
    newer = put(store, tmp_path)
    older = publish(store, LAYOUT.checkpoint(200), stage(tmp_path), kind=Kind.CHECKPOINT, step=200, pointer=POINTER)
    assert older.step == 200
    assert store.read_pointer(POINTER) == newer


def test_an_empty_folder_is_not_published(store: Store, tmp_path: Path) -> None:
    with pytest.raises(AnceError, match="no files to publish"):
        put(store, tmp_path, {})


def test_a_staged_manifest_is_refused(store: Store, tmp_path: Path) -> None:
    with pytest.raises(AnceError, match="remove or rename it"):
        put(store, tmp_path, {"manifest.json": b"{}"})


def test_files_that_are_in_the_store_already_are_published_as_they_are(store: Store, tmp_path: Path) -> None:
    prefix = LAYOUT.embeddings(300)
    paths = ["passages/0.npy", "passages/1.npy", f"{Part.TRAIN_QUERIES}/0.npy"]
    for number, path in enumerate(paths):
        store.write_new(f"{prefix}/{path}", b"vectors %d" % number)
    entries = [stored_entry(store, prefix, path) for path in paths]
    ref = publish_existing(store, prefix, entries, kind=Kind.EMBEDDINGS, run_id="demo", step=300)
    assert publish_existing(store, prefix, entries[::-1], kind=Kind.EMBEDDINGS, step=300) == ref
    folder = fetch(store, ref, tmp_path / "cache")
    assert [(folder / path).read_bytes() for path in paths] == [b"vectors 0", b"vectors 1", b"vectors 2"]


def test_existing_files_that_are_missing_or_cut_are_not_published(store: Store) -> None:
    prefix = LAYOUT.embeddings(300)
    store.write(f"{prefix}/passages/0.npy", b"vectors")
    entry = stored_entry(store, prefix, "passages/0.npy")
    store.write(f"{prefix}/passages/0.npy", b"vec")
    with pytest.raises(CorruptArtifact, match=r"passages/0\.npy: has 3 bytes, its manifest says 7"):
        publish_existing(store, prefix, [entry], kind=Kind.EMBEDDINGS)
    store.delete(f"{prefix}/passages")
    with pytest.raises(CorruptArtifact, match="missing"):
        publish_existing(store, prefix, [entry], kind=Kind.EMBEDDINGS)
    assert published(store, prefix) is None


def test_one_wrong_byte_is_found(store: Store, tmp_path: Path) -> None:
    ref = put(store, tmp_path)
    store.write(f"{PREFIX}/model.safetensors", b"weightz")
    with pytest.raises(CorruptArtifact, match=r"model.safetensors: has sha256 \w{64}, its manifest says \w{64}"):
        fetch(store, ref, tmp_path / "cache")


def test_a_cut_file_is_found_without_hashing(file_store: Store, tmp_path: Path) -> None:
    ref = put(file_store, tmp_path)
    file_store.write(f"{PREFIX}/model.safetensors", b"weigh")
    with pytest.raises(CorruptArtifact, match="has 5 bytes, its manifest says 7"):
        fetch(file_store, ref, tmp_path / "cache", verify=False)


def test_without_hashing_sizes_are_enough(file_store: Store, tmp_path: Path) -> None:
    ref = put(file_store, tmp_path)
    file_store.write(f"{PREFIX}/model.safetensors", b"weightz")
    fetch(file_store, ref, tmp_path / "cache", verify=False)


def test_another_manifest_than_the_announced_one_is_refused(store: Store, tmp_path: Path) -> None:
    ref = put(store, tmp_path)
    with pytest.raises(CorruptArtifact, match=f"{ref.manifest_uri}: has sha256"):
        read_manifest(store, ref.manifest_uri, "0" * 64)


def test_a_manifest_that_lists_a_file_outside_is_refused(store: Store, tmp_path: Path) -> None:
    ref = put(store, tmp_path)
    data = store.read(ref.manifest_uri).replace(b"model.safetensors", b"../../../secret")
    store.write(ref.manifest_uri, data)
    with pytest.raises(CorruptArtifact, match="stays inside the artifact's folder"):
        fetch(store, PREFIX, tmp_path / "cache")


def test_a_link_that_leads_out_of_the_store_is_refused(file_store: Store, tmp_path: Path) -> None:
    """Whoever can write to the store must not make a service read its secrets for it."""
    ref = put(file_store, tmp_path)
    secret = tmp_path / "secret"
    secret.write_bytes(b"weights")  # even the hash is right
    model = tmp_path / "store" / PREFIX / "model.safetensors"
    model.unlink()
    model.symlink_to(secret)
    with pytest.raises(CorruptArtifact, match=r"model\.safetensors: leads out of its artifact's folder"):
        fetch(file_store, ref, tmp_path / "cache")


def test_a_linked_folder_that_leads_out_of_the_store_is_refused(file_store: Store, tmp_path: Path) -> None:
    ref = put(file_store, tmp_path)
    folder = tmp_path / "store" / PREFIX / "trainer_state"
    folder.rename(tmp_path / "elsewhere")
    folder.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(CorruptArtifact, match="leads out of its artifact's folder"):
        fetch(file_store, ref, tmp_path / "cache", verify=False)


def test_a_huge_manifest_is_not_read(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ref = put(store, tmp_path)
    monkeypatch.setattr(manifests_module, "MANIFEST_BYTES", 100)
    with pytest.raises(CorruptArtifact, match="no manifest has more than 100"):
        read_manifest(store, ref.manifest_uri)


def test_a_part_of_the_files_can_be_fetched(store: Store, tmp_path: Path) -> None:
    ref = put(store, tmp_path)
    model = fetch(store, ref, tmp_path / "cache", skip="trainer_state/")
    state = fetch(store, ref, tmp_path / "cache", only="trainer_state/")
    assert (model / "model.safetensors").read_bytes() == b"weights"
    assert (state / "trainer_state/optimiser.safetensors").read_bytes() == b"moments"
    assert contents(fetch(store, ref, tmp_path / "cache")) == FILES
    with pytest.raises(AnceError, match="lists no file that begins with 'passages/'"):
        fetch(store, ref, tmp_path / "cache", only="passages/")


def test_a_damaged_file_that_is_not_asked_for_does_not_matter(store: Store, tmp_path: Path) -> None:
    ref = put(store, tmp_path)
    store.write(f"{PREFIX}/trainer_state/optimiser.safetensors", b"damaged")
    fetch(store, ref, tmp_path / "cache", skip="trainer_state/")


def test_a_file_store_is_read_in_place(file_store: Store, tmp_path: Path) -> None:
    ref = put(file_store, tmp_path)
    assert fetch(file_store, ref, tmp_path / "cache") == tmp_path / "store" / PREFIX
    assert not (tmp_path / "cache").exists()


def test_a_download_is_done_once(memory_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ref = put(memory_store, tmp_path)
    folder = fetch(memory_store, ref, tmp_path / "cache")
    assert folder == tmp_path / "cache" / ref.manifest_sha256

    def refuse(self: Store, key: str, target: Path) -> None:
        raise AssertionError(f"downloaded {key} again")

    monkeypatch.setattr(Store, "download", refuse)
    assert fetch(memory_store, ref, tmp_path / "cache") == folder


def test_a_download_that_fails_leaves_nothing_in_the_cache(memory_store: Store, tmp_path: Path) -> None:
    ref = put(memory_store, tmp_path)
    memory_store.write(f"{PREFIX}/trainer_state/optimiser.safetensors", b"momentz")
    with pytest.raises(CorruptArtifact):
        fetch(memory_store, ref, tmp_path / "cache")
    assert visible(tmp_path / "cache") == []


def test_a_file_is_hashed_again_only_when_it_has_changed(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"one")
    first, hashed = file_sha256(path), manifests_module._sha256.cache_info().misses
    assert file_sha256(path) == first
    assert manifests_module._sha256.cache_info().misses == hashed
    path.write_bytes(b"two")
    os.utime(path, ns=(0, 1))
    assert file_sha256(path) != first
