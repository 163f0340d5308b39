"""What is not needed goes: condemned first, the manifest before the files."""

from __future__ import annotations

from pathlib import Path

import pytest

from ance.runtime.artifacts import ArtifactNotFound, fetch, published
from ance.runtime.contracts import Kind
from ance.runtime.retention import delete_versions, retain
from ance.runtime.store import Store
from tests.runtime.retention.versions import LAYOUT, put, version


def test_retention_deletes_from_the_store_what_the_plan_says(store: Store, tmp_path: Path) -> None:
    checkpoints = [put(store, tmp_path, Kind.CHECKPOINT, step, "checkpoint") for step in (0, 100, 200, 300)]
    put(store, tmp_path, Kind.INDEX, 100, "index", checkpoint=checkpoints[1].manifest_sha256)
    store.write(f"{LAYOUT.bm25_negatives}/negatives.npy", b"x")
    store.write(f"{LAYOUT.index(0)}/index.faiss", b"torn")
    assert retain(store, LAYOUT, keep=1, pinned=[0], grace_seconds=0).deleted == []
    deleted = retain(store, LAYOUT, keep=1, pinned=[0], grace_seconds=0).deleted
    assert [(v.kind, v.step) for v in deleted] == [(Kind.INDEX, 0), (Kind.CHECKPOINT, 200)]
    assert store.list(LAYOUT.checkpoint(200)) == store.list(LAYOUT.index(0)) == []
    assert store.exists(f"{LAYOUT.bm25_negatives}/negatives.npy")
    for step in (0, 100, 300):
        assert contents_of(store, tmp_path, LAYOUT.checkpoint(step)) == f"checkpoint {step}".encode()
    assert retain(store, LAYOUT, keep=1, pinned=[0], grace_seconds=0) == ([], [])


def test_a_run_with_nothing_in_it_has_nothing_to_delete(store: Store) -> None:
    assert retain(store, LAYOUT, keep=1) == ([], [])


def test_the_manifest_goes_first(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Retention that dies half-way leaves an artifact that is not there, not one with files missing."""
    put(store, tmp_path, Kind.CHECKPOINT, 100, "checkpoint")
    delete, deleted = Store.delete, []

    def die_after_first(self: Store, prefix: str) -> None:
        if deleted:
            raise KeyboardInterrupt
        delete(self, prefix)
        deleted.append(prefix)

    with monkeypatch.context() as patch:
        patch.setattr(Store, "delete", die_after_first)
        with pytest.raises(KeyboardInterrupt):
            delete_versions(store, LAYOUT, [version(Kind.CHECKPOINT, 100)])
    assert store.exists(f"{LAYOUT.checkpoint(100)}/data.bin")
    assert published(store, LAYOUT.checkpoint(100)) is None
    with pytest.raises(ArtifactNotFound):
        fetch(store, LAYOUT.checkpoint(100), tmp_path / "cache")
    put(store, tmp_path, Kind.CHECKPOINT, 200, "checkpoint")
    retain(store, LAYOUT, keep=3)
    assert [v.step for v in retain(store, LAYOUT, keep=3, grace_seconds=0).deleted] == [100]


def test_a_version_is_condemned_first_and_deleted_after_the_grace(two_checkpoints: Store) -> None:
    store = two_checkpoints
    assert [v.step for v in retain(store, LAYOUT, keep=1, grace_seconds=0).condemned] == [100]
    assert published(store, LAYOUT.checkpoint(100)) is not None
    assert retain(store, LAYOUT, keep=1, grace_seconds=60).deleted == []
    assert [v.step for v in retain(store, LAYOUT, keep=1, grace_seconds=0).deleted] == [100]
    assert store.list(LAYOUT.checkpoint(100)) == []


def test_a_dry_run_says_the_same_and_changes_nothing(two_checkpoints: Store) -> None:
    before = two_checkpoints.list("runs")
    for _ in range(2):
        plan = retain(two_checkpoints, LAYOUT, keep=1, grace_seconds=0, dry_run=True)
        assert ([v.step for v in plan.condemned], plan.deleted) == ([100], [])
    assert two_checkpoints.list("runs") == before


def test_a_version_that_is_needed_again_loses_its_tombstone(two_checkpoints: Store) -> None:
    retain(two_checkpoints, LAYOUT, keep=1, grace_seconds=0)
    assert retain(two_checkpoints, LAYOUT, keep=2, grace_seconds=0) == ([], [])
    assert retain(two_checkpoints, LAYOUT, keep=1, grace_seconds=0).deleted == []  # condemned anew


def contents_of(store: Store, tmp_path: Path, prefix: str) -> bytes:
    return (fetch(store, prefix, tmp_path / "cache") / "data.bin").read_bytes()
