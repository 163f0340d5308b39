"""What a running process says it holds stays until it leaves or dies."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from ance.errors import AnceError
from ance.runtime.artifacts import ArtifactNotFound
from ance.runtime.contracts import Kind
from ance.runtime.holds import HOLD_SECONDS, RENEW_SECONDS, Silence, VersionHold, live_holds
from ance.runtime.retention import Retention, retain
from ance.runtime.store import Store
from tests.runtime.conftest import wait_until
from tests.runtime.retention.versions import LAYOUT, put


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
