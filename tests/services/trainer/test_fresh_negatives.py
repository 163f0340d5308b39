"""The thread that looks for newer negatives."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path

import pytest

from ance.runtime.artifacts import fetch
from ance.runtime.contracts import ArtifactRef, Kind
from ance.runtime.holds import VersionHold, live_holds
from ance.runtime.store import Store
from services.trainer import fresh_negatives
from services.trainer.fresh_negatives import FreshNegatives
from tests.services.conftest import NewRun
from tests.services.service_run import ServiceRun, wait_until

POLL_SECONDS = 0.01


def watching(run: ServiceRun) -> FreshNegatives:
    pointer = partial(run.store.read_pointer, run.layout.pointer("negatives"))
    hold = VersionHold(run.store, run.layout, "test")
    return FreshNegatives(run.store, hold, pointer, run.cache, POLL_SECONDS)


def damage(run: ServiceRun, step: int) -> None:
    """Change a byte of the negatives, keeping their size; done twice, they are whole again.

    The file is linked into the store, so it is replaced.
    """
    path = run.path(f"{run.layout.negatives(step)}/negatives.npy")
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.unlink()
    path.write_bytes(data)


def test_the_newest_version_is_there_without_being_asked_for(new_run: NewRun) -> None:
    run = new_run()
    with watching(run) as fresh:
        assert fresh.newest is None
        run.publish_negatives(5, passage=7, created_at=123.0)
        version = fresh.wait_from(5, timeout=20)
        assert version is not None and version is fresh.newest
        assert (version.step, version.checkpoint_created_at) == (5, 123.0)
        assert (version.negatives.negatives == 7).all()


def test_a_version_is_held_while_it_is_read_and_no_longer(new_run: NewRun, monkeypatch: pytest.MonkeyPatch) -> None:
    run = new_run()
    held: list[list[tuple[Kind, int]]] = []

    def noticing(store: Store, ref: ArtifactRef, cache: Path) -> Path:
        held.append([(one.kind, one.step) for hold in live_holds(run.store, run.layout) for one in hold.versions])
        return fetch(store, ref, cache)

    monkeypatch.setattr(fresh_negatives, "fetch", noticing)
    run.publish_negatives(5)
    with watching(run) as fresh:
        assert fresh.wait_from(5, timeout=20) is not None
        wait_until(lambda: live_holds(run.store, run.layout) == [])
    assert held == [[(Kind.NEGATIVES, 5)]]


def test_waiting_ends_after_the_timeout_when_only_older_versions_are_there(new_run: NewRun) -> None:
    run = new_run()
    run.publish_negatives(5)
    with watching(run) as fresh:
        assert fresh.wait_from(5, timeout=20) is not None
        assert fresh.wait_from(6, timeout=0.05) is None


def test_a_corrupt_version_is_refused_once_the_old_one_stays_and_the_next_is_taken(
    new_run: NewRun, caplog: pytest.LogCaptureFixture
) -> None:
    run = new_run()
    run.publish_negatives(5)
    with watching(run) as fresh:
        old = fresh.wait_from(5, timeout=20)
        ref = run.publish_negatives(6, pointer=False)
        damage(run, 6)
        run.store.move_pointer(run.layout.pointer("negatives"), ref)
        wait_until(lambda: "negatives refused" in caplog.text)
        assert fresh.wait_from(6, timeout=10 * POLL_SECONDS) is None
        assert fresh.newest is old
        run.publish_negatives(7)
        assert fresh.wait_from(7, timeout=20) is not None
    assert caplog.text.count("negatives refused") == 1


def test_a_corrupt_version_is_read_again_after_ever_longer_pauses_and_taken_once_it_is_whole(
    new_run: NewRun, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fresh_negatives, "FIRST_RETRY_SECONDS", 0.02)
    run = new_run()
    ref = run.publish_negatives(5, pointer=False)
    damage(run, 5)
    run.store.move_pointer(run.layout.pointer("negatives"), ref)
    with watching(run) as fresh:
        began = time.monotonic()
        wait_until(lambda: caplog.text.count("negatives refused") >= 3)
        assert time.monotonic() - began > 0.02 + 0.04
        assert fresh.failing and fresh.newest is None
        damage(run, 5)
        assert fresh.wait_from(5, timeout=20) is not None
        assert not fresh.failing


def test_a_version_that_vanishes_before_it_is_read_does_not_end_the_watch(
    new_run: NewRun, caplog: pytest.LogCaptureFixture
) -> None:
    run = new_run()
    ref = run.publish_negatives(5, pointer=False)
    run.store.delete(run.layout.negatives(5))
    run.store.move_pointer(run.layout.pointer("negatives"), ref)
    with watching(run) as fresh:
        wait_until(lambda: "trying again" in caplog.text)
        run.publish_negatives(6)
        assert fresh.wait_from(6, timeout=20) is not None
