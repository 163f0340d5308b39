"""Retention: what is needed stays, the rest goes, and a reader never meets half an artifact."""

from __future__ import annotations

import hashlib
import logging
import uuid
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from ance.errors import AnceError
from ance.runtime.artifacts import ArtifactNotFound, fetch, publish, published
from ance.runtime.contracts import ArtifactRef, Kind
from ance.runtime.holds import HOLD_SECONDS, RENEW_SECONDS, Silence, VersionHold, live_holds
from ance.runtime.layout import Pointer, RunLayout
from ance.runtime.retention import KINDS, Retention, Version, delete_versions, plan_retention, retain
from ance.runtime.store import Store
from tests.runtime.conftest import wait_until

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


@pytest.fixture
def two_checkpoints(store: Store, tmp_path: Path) -> Store:
    """Of which retention needs only the newer one, 200."""
    for step in (100, 200):
        put(store, tmp_path, Kind.CHECKPOINT, step, "checkpoint")
    return store


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


def test_what_a_process_holds_stays_until_it_leaves(two_checkpoints: Store) -> None:
    store = two_checkpoints
    with VersionHold(store, LAYOUT, "search-0") as mine:
        mine.hold([(Kind.CHECKPOINT, 100)])
        for _ in range(2):
            assert retain(store, LAYOUT, keep=1, grace_seconds=0) == ([], [])
    retain(store, LAYOUT, keep=1, grace_seconds=0)
    assert [v.step for v in retain(store, LAYOUT, keep=1, grace_seconds=0).deleted] == [100]


def test_the_parents_of_a_held_version_stay(store: Store, tmp_path: Path) -> None:
    """A rollback serves index 100, which needs the encoder of checkpoint 100."""
    checkpoints = [put(store, tmp_path, Kind.CHECKPOINT, step, "checkpoint") for step in (100, 200)]
    for step, checkpoint in zip((100, 200), checkpoints, strict=True):
        put(store, tmp_path, Kind.INDEX, step, "index", checkpoint=checkpoint.manifest_sha256)
    with VersionHold(store, LAYOUT, "search-0") as mine:
        mine.hold([(Kind.INDEX, 100)])
        assert retain(store, LAYOUT, keep=1) == ([], [])


def test_who_comes_after_the_tombstone_is_told_and_keeps_what_it_has(two_checkpoints: Store) -> None:
    """Otherwise it would begin to read what is about to be deleted."""
    store = two_checkpoints
    with VersionHold(store, LAYOUT, "search-0") as mine:
        mine.hold([(Kind.CHECKPOINT, 200)])
        retain(store, LAYOUT, keep=1, grace_seconds=0)
        with pytest.raises(ArtifactNotFound, match="checkpoints/100: retention is deleting it"):
            mine.hold([(Kind.CHECKPOINT, 100)])
        (record,) = live_holds(store, LAYOUT)
        assert [held.step for held in record.versions] == [200]
        assert [v.step for v in retain(store, LAYOUT, keep=1, grace_seconds=0).deleted] == [100]


def test_blocks_that_overlap_leave_each_other_what_they_hold(two_checkpoints: Store) -> None:
    """As the threads of a trainer do: one reads negatives while another opens an index."""
    store = two_checkpoints

    def held() -> list[int]:
        return [version.step for hold in live_holds(store, LAYOUT) for version in hold.versions]

    with VersionHold(store, LAYOUT, "trainer-0") as mine:
        mine.hold([(Kind.CHECKPOINT, 200)])
        first, second = mine.holding((Kind.CHECKPOINT, 100)), mine.holding((Kind.CHECKPOINT, 100), (Kind.INDEX, 7))
        with first:
            with second:
                assert sorted(held()) == [7, 100, 200]
            assert sorted(held()) == [100, 200]
            mine.hold([])
            assert held() == [100]
            assert retain(store, LAYOUT, keep=1, grace_seconds=0) == ([], [])
        assert held() == []


def test_a_block_does_not_begin_with_a_version_that_is_about_to_go(two_checkpoints: Store) -> None:
    store = two_checkpoints
    with VersionHold(store, LAYOUT, "trainer-0") as mine, mine.holding((Kind.CHECKPOINT, 200)):
        retain(store, LAYOUT, keep=1, grace_seconds=0)
        with pytest.raises(ArtifactNotFound, match="checkpoints/100"), mine.holding((Kind.CHECKPOINT, 100)):
            pytest.fail("the block was entered")
        assert [held.step for held in live_holds(store, LAYOUT)[0].versions] == [200]


def test_a_holder_that_died_is_forgotten_after_a_while(two_checkpoints: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = VersionHold(two_checkpoints, LAYOUT, "search-0")
    mine.hold([(Kind.CHECKPOINT, 100)])
    assert retain(two_checkpoints, LAYOUT, keep=1) == ([], [])
    monkeypatch.setattr("ance.runtime.holds.HOLD_SECONDS", 0.0)
    assert [v.step for v in retain(two_checkpoints, LAYOUT, keep=1).condemned] == [100]
    assert two_checkpoints.list(LAYOUT.holds) == []


def test_a_holder_whose_clock_is_hours_behind_is_heard_by_who_looks_again(
    two_checkpoints: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    silence = Silence(lambda: now)
    mine = VersionHold(two_checkpoints, LAYOUT, "search-0")

    def look() -> Retention:
        return retain(two_checkpoints, LAYOUT, keep=1, silent=silence.of)

    for word in (-6 * 3600.0, -6 * 3600.0 + RENEW_SECONDS, 12 * 3600.0):  # behind, and then ahead
        with monkeypatch.context() as patch:
            patch.setattr("ance.runtime.holds.time.time", lambda word=word: 1e9 + word)
            mine.hold([(Kind.CHECKPOINT, 100)])
        now += HOLD_SECONDS
        assert look() == ([], [])
    now += HOLD_SECONDS - 1
    assert look() == ([], [])
    now += 1
    assert [v.step for v in look().condemned] == [100], "it has said nothing new for too long"


def test_a_holder_renews_its_word(two_checkpoints: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ance.runtime.holds.RENEW_SECONDS", 0.01)
    with VersionHold(two_checkpoints, LAYOUT, "search-0") as mine:
        mine.hold([(Kind.CHECKPOINT, 100)])
        first = live_holds(two_checkpoints, LAYOUT)[0].renewed_at
        assert wait_until(lambda: live_holds(two_checkpoints, LAYOUT)[0].renewed_at > first)
    assert live_holds(two_checkpoints, LAYOUT) == []


def test_a_record_that_cannot_be_read_stops_retention(two_checkpoints: Store) -> None:
    two_checkpoints.write(LAYOUT.hold("search-0"), b"{}")
    with pytest.raises(AnceError, match=r"holds/search-0.json is no record"):
        retain(two_checkpoints, LAYOUT, keep=1)


def test_a_store_that_is_read_only_is_said_once(
    two_checkpoints: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(self: Store, key: str, data: bytes) -> None:
        raise AnceError("Read-only file system")

    monkeypatch.setattr(Store, "write", refuse)
    with caplog.at_level(logging.WARNING), VersionHold(two_checkpoints, LAYOUT, "search-0") as mine:
        mine.hold([(Kind.CHECKPOINT, 100)])
        mine.hold([(Kind.CHECKPOINT, 200)])
    assert caplog.text.count("cannot be announced to retention: Read-only file system") == 1


class Reading(RuleBasedStateMachine):
    """Publishers, readers and retention in any order: a reader that holds a version can read it to the end."""

    def __init__(self) -> None:
        super().__init__()
        self.store = Store.open(f"memory://{uuid.uuid4().hex}", retry_seconds=0)
        self.step = 0
        self.readers = [VersionHold(self.store, LAYOUT, f"reader-{number}") for number in range(2)]
        self.reading: dict[int, int] = {}

    @rule()
    def publish_next(self) -> None:
        self.step += 1
        with TemporaryDirectory() as folder:
            put(self.store, Path(folder), Kind.INDEX, self.step, "index")

    @rule(reader=st.integers(0, 1))
    def read_newest(self, reader: int) -> None:
        newest = self.store.read_pointer(LAYOUT.pointer("index"))
        if newest is not None:
            self._take(reader, newest.step)

    @rule(reader=st.integers(0, 1), back=st.integers(1, 3))
    def roll_back(self, reader: int, back: int) -> None:
        step = self.step - back
        if published(self.store, LAYOUT.index(step)) is not None:
            self._take(reader, step)

    def _take(self, reader: int, step: int) -> None:
        try:
            self.readers[reader].hold([(Kind.INDEX, step)])
        except ArtifactNotFound:
            return
        self.reading[reader] = step

    @rule()
    def run_retention(self) -> None:
        retain(self.store, LAYOUT, keep=1, grace_seconds=0)

    @invariant()
    def what_is_read_is_there(self) -> None:
        for step in self.reading.values():
            key = f"{LAYOUT.index(step)}/data.bin"
            assert self.store.read(key) == f"{Kind.INDEX} {step}".encode()

    @invariant()
    def the_pointer_names_what_is_there(self) -> None:
        newest = self.store.read_pointer(LAYOUT.pointer("index"))
        assert newest is None or published(self.store, LAYOUT.index(newest.step)) is not None


TestReading = Reading.TestCase
TestReading.settings = settings(max_examples=30, stateful_step_count=20, deadline=None)


def contents_of(store: Store, tmp_path: Path, prefix: str) -> bytes:
    return (fetch(store, prefix, tmp_path / "cache") / "data.bin").read_bytes()
