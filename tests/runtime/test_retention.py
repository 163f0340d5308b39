"""Retention: what is needed stays, the rest goes, and a reader never meets half an artifact."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ance.runtime.artifacts import ArtifactNotFound, fetch, publish, published
from ance.runtime.contracts import ArtifactRef, Kind
from ance.runtime.layout import Pointer, RunLayout
from ance.runtime.retention import KINDS, Version, delete_versions, plan_retention, retain
from ance.runtime.store import Store

LAYOUT = RunLayout("demo")


def sha(kind: Kind, step: int) -> str:
    return hashlib.sha256(f"{kind} {step}".encode()).hexdigest()


def version(kind: Kind, step: int, *parents: tuple[Kind, int]) -> Version:
    return Version(kind, step, sha(kind, step), frozenset(sha(*parent) for parent in parents))


def ref(kind: Kind, step: int) -> ArtifactRef:
    return ArtifactRef(step=step, manifest_uri="x", manifest_sha256=sha(kind, step), created_at=0)


def steps(versions: list[Version], kind: Kind) -> list[int]:
    return [version.step for version in versions if version.kind is kind]


CHECKPOINTS = [version(Kind.CHECKPOINT, step) for step in range(0, 60, 10)]


def test_the_newest_of_each_kind_stay() -> None:
    indexes = [version(Kind.INDEX, step) for step in (10, 20)]
    plan = plan_retention(CHECKPOINTS + indexes, keep=2)
    assert steps(plan, Kind.CHECKPOINT) == [0, 10, 20, 30]
    assert steps(plan, Kind.INDEX) == []


def test_pinned_steps_keep_their_checkpoint_and_nothing_else() -> None:
    embeddings = [version(Kind.EMBEDDINGS, step) for step in (0, 10, 20)]
    plan = plan_retention(CHECKPOINTS + embeddings, keep=1, pinned=[0])
    assert steps(plan, Kind.CHECKPOINT) == [10, 20, 30, 40]
    assert steps(plan, Kind.EMBEDDINGS) == [0, 10]


def test_steps_in_use_keep_everything() -> None:
    embeddings = [version(Kind.EMBEDDINGS, 20), version(Kind.EMBEDDINGS, 30)]
    plan = plan_retention(CHECKPOINTS + embeddings, keep=1, in_use=[20])
    assert steps(plan, Kind.CHECKPOINT) == [0, 10, 30, 40]
    assert steps(plan, Kind.EMBEDDINGS) == []


def test_what_a_pointer_names_stays_with_its_parents() -> None:
    """Search serves index 10 while checkpoints have moved on: its query encoder must stay."""
    index = version(Kind.INDEX, 10, (Kind.CHECKPOINT, 10))
    newer = version(Kind.INDEX, 20)
    plan = plan_retention([*CHECKPOINTS, index, newer], keep=1, latest=[ref(Kind.INDEX, 10)])
    assert steps(plan, Kind.CHECKPOINT) == [0, 20, 30, 40]
    assert steps(plan, Kind.INDEX) == []


def test_grandparents_go() -> None:
    """Checkpoints come from negatives that come from checkpoints: following the chain would keep it all."""
    chain = [
        version(Kind.CHECKPOINT, 0),
        version(Kind.NEGATIVES, 0, (Kind.CHECKPOINT, 0)),
        version(Kind.CHECKPOINT, 10, (Kind.NEGATIVES, 0)),
        version(Kind.NEGATIVES, 10, (Kind.CHECKPOINT, 10)),
        version(Kind.CHECKPOINT, 20, (Kind.NEGATIVES, 10)),
        version(Kind.NEGATIVES, 20, (Kind.CHECKPOINT, 20)),
    ]
    plan = plan_retention(chain, keep=1)
    assert steps(plan, Kind.CHECKPOINT) == [0, 10]
    assert steps(plan, Kind.NEGATIVES) == [0]


def test_an_unpublished_version_goes_once_a_newer_one_is_published() -> None:
    torn, under_way = Version(Kind.INDEX, 10), Version(Kind.INDEX, 30)
    assert plan_retention([torn, version(Kind.INDEX, 20), under_way], keep=3) == [torn]
    assert plan_retention([torn], keep=3) == []
    assert plan_retention([torn, version(Kind.INDEX, 20)], keep=3, in_use=[10]) == []


any_version = st.builds(
    version, st.sampled_from(KINDS), st.integers(0, 9), st.tuples(st.sampled_from(KINDS), st.integers(0, 9))
)


@given(st.lists(any_version, unique_by=lambda v: (v.kind, v.step)), st.integers(1, 4), st.sets(st.integers(0, 9)))
def test_a_plan_spares_the_newest_the_used_and_their_parents(
    versions: list[Version], keep: int, in_use: set[int]
) -> None:
    plan = plan_retention(versions, keep=keep, in_use=in_use)
    for kind in KINDS:
        newest = sorted(v.step for v in versions if v.kind is kind)[-keep:]
        assert not set(newest) & set(steps(plan, kind))
    assert not in_use & {v.step for v in plan}
    spared = [v for v in versions if v.step in in_use]
    assert not {sha256 for v in spared for sha256 in v.parents} & {v.manifest_sha256 for v in plan}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(str(tmp_path / "store"), create=True, retry_seconds=0)


def put(store: Store, tmp_path: Path, kind: Kind, step: int, pointer: Pointer, **parents: str) -> ArtifactRef:
    staging = tmp_path / "staging"
    staging.mkdir()
    (staging / "data.bin").write_bytes(f"{kind} {step}".encode())
    return publish(
        store,
        LAYOUT.version(kind, step),
        staging,
        kind=kind,
        step=step,
        parents=parents,
        pointer=LAYOUT.pointer(pointer),
    )


def test_retention_deletes_from_the_store_what_the_plan_says(store: Store, tmp_path: Path) -> None:
    checkpoints = [put(store, tmp_path, Kind.CHECKPOINT, step, "checkpoint") for step in (0, 100, 200, 300)]
    put(store, tmp_path, Kind.INDEX, 100, "index", checkpoint=checkpoints[1].manifest_sha256)
    store.write(f"{LAYOUT.bm25_negatives}/negatives.npy", b"x")
    store.write(f"{LAYOUT.index(0)}/index.faiss", b"torn")
    deleted = retain(store, LAYOUT, keep=1, pinned=[0])
    assert [(v.kind, v.step) for v in deleted] == [(Kind.INDEX, 0), (Kind.CHECKPOINT, 200)]
    assert store.list(LAYOUT.checkpoint(200)) == store.list(LAYOUT.index(0)) == []
    assert store.exists(f"{LAYOUT.bm25_negatives}/negatives.npy")
    for step in (0, 100, 300):
        assert contents_of(store, tmp_path, LAYOUT.checkpoint(step)) == f"checkpoint {step}".encode()
    assert retain(store, LAYOUT, keep=1, pinned=[0]) == []


def test_a_run_with_nothing_in_it_has_nothing_to_delete(store: Store) -> None:
    assert retain(store, LAYOUT, keep=1) == []


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
    assert [v.step for v in retain(store, LAYOUT, keep=3)] == [100]


def contents_of(store: Store, tmp_path: Path, prefix: str) -> bytes:
    return (fetch(store, prefix, tmp_path / "cache") / "data.bin").read_bytes()
