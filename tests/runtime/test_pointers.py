"""Pointers only move forward, and what several writers do at once ends in one of its outcomes."""

from __future__ import annotations

import hashlib
import multiprocessing
import threading
import time
import uuid
from collections.abc import Callable
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ance.errors import AnceError
from ance.runtime.contracts import ArtifactRef
from ance.runtime.store import StaleFencingToken, Store
from ance.runtime.store.backends import open_backend
from ance.runtime.store.file_writer import FileWriter
from ance.runtime.store.pointers import supersedes
from ance.runtime.store.writers import Change

POINTER = "runs/demo/latest/index.json"


def ref(step: int, *, token: int = 0, content: str = "", final: bool = False) -> ArtifactRef:
    return ArtifactRef(
        step=step,
        manifest_uri=f"runs/demo/indexes/{step}/manifest.json",
        manifest_sha256=hashlib.sha256(f"{step} {content}".encode()).hexdigest(),
        created_at=0.0,
        fencing_token=token,
        final=final,
    )


def test_a_pointer_names_nothing_before_the_first_move(store: Store) -> None:
    assert store.read_pointer(POINTER) is None
    assert store.move_pointer(POINTER, ref(3))
    assert store.read_pointer(POINTER) == ref(3)


def test_a_pointer_moves_to_newer_steps_only(store: Store) -> None:
    store.move_pointer(POINTER, ref(3))
    assert not store.move_pointer(POINTER, ref(2))
    assert store.read_pointer(POINTER) == ref(3)
    assert store.move_pointer(POINTER, ref(4))
    assert store.read_pointer(POINTER) == ref(4)


def test_moving_a_pointer_to_where_it_is_succeeds(store: Store) -> None:
    assert store.move_pointer(POINTER, ref(3))
    assert store.move_pointer(POINTER, ref(3))


def test_a_stale_publisher_is_refused_even_with_a_newer_step(store: Store) -> None:
    store.move_pointer(POINTER, ref(3, token=2))
    with pytest.raises(StaleFencingToken, match="step 9 under the older token 1 is refused"):
        store.move_pointer(POINTER, ref(9, token=1))
    assert store.read_pointer(POINTER) == ref(3, token=2)


def test_other_content_of_the_same_step_needs_a_newer_lease(store: Store) -> None:
    store.move_pointer(POINTER, ref(3, token=1, content="one"))
    assert not store.move_pointer(POINTER, ref(3, token=1, content="other"))
    assert store.move_pointer(POINTER, ref(3, token=2, content="other"))


def test_a_step_can_turn_out_to_be_the_last(store: Store) -> None:
    store.move_pointer(POINTER, ref(3))
    assert store.move_pointer(POINTER, ref(3, final=True))
    pointer = store.read_pointer(POINTER)
    assert pointer is not None
    assert pointer.final


def test_a_damaged_pointer_is_named(store: Store) -> None:
    store.write(POINTER, b"{}")
    with pytest.raises(AnceError, match=r"latest/index.json is not a pointer, delete it: 'step' is missing"):
        store.read_pointer(POINTER)


moves = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 3)), max_size=25)


@given(moves)
def test_a_pointer_never_moves_back(moves: list[tuple[int, int]]) -> None:
    """Whatever the order of publishers: neither step nor token ever falls, and True means it is there."""
    store = Store.open(f"memory://{uuid.uuid4().hex}")
    for step, token in moves:
        before = store.read_pointer(POINTER)
        try:
            moved = store.move_pointer(POINTER, ref(step, token=token))
        except StaleFencingToken:
            assert before is not None
            assert token < before.fencing_token
            moved = False
        after = store.read_pointer(POINTER)
        assert after is not None
        assert not moved or after.step == step
        if before is not None:
            assert after.step >= before.step
            assert after.fencing_token >= before.fencing_token


@given(st.integers(0, 9), st.integers(0, 9), st.integers(0, 9), st.integers(0, 9))
def test_of_two_different_refs_at_most_one_supersedes_the_other(a: int, b: int, x: int, y: int) -> None:
    def goes_after(one: ArtifactRef, other: ArtifactRef) -> bool:
        try:
            return supersedes(one, other, "pointer")
        except StaleFencingToken:
            return False

    one, other = ref(a, token=x), ref(b, token=y)
    assert not (goes_after(one, other) and goes_after(other, one))


def in_threads(count: int, work: Callable[[int], object]) -> None:
    threads = [threading.Thread(target=work, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_of_many_writers_at_once_one_creates(store: Store) -> None:
    created: list[int] = []
    in_threads(8, lambda number: store.write_new("a/b", b"%d" % number) and created.append(number))
    assert len(created) == 1
    assert store.read("a/b") == b"%d" % created[0]


def test_threads_that_move_a_pointer_end_at_the_newest(store: Store) -> None:
    in_threads(8, lambda number: store.move_pointer(POINTER, ref(number)))
    assert store.read_pointer(POINTER) == ref(7)


class SlowWriter(FileWriter):
    """Takes its time between reading and writing, so that swaps without a lock would overtake each other."""

    def swap(self, path: str, change: Change) -> bool:
        def slowly(data: bytes | None) -> bytes | None:
            time.sleep(0.005)
            return change(data)

        return super().swap(path, slowly)


def test_swaps_do_not_interleave(tmp_path: Path) -> None:
    """Every one of 16 slow increments counts."""
    for url, key in ((str(tmp_path), f"{tmp_path}/count"), ("memory://", f"/{uuid.uuid4().hex}")):
        writer = open_backend(url, create=False).writer

        def increment(data: bytes | None) -> bytes:
            time.sleep(0.005)
            return b"%d" % (int(data or 0) + 1)

        in_threads(16, lambda _, swap=writer.swap, key=key, change=increment: swap(key, change))
        assert not writer.swap(key, lambda data: None if data == b"16" else b"")


def _move_steps(url: str, steps: list[int], start: Barrier) -> None:
    store = Store(url, open_backend(url, create=False)._replace(writer=SlowWriter()))
    start.wait()
    for step in steps:
        store.move_pointer(POINTER, ref(step))


def test_processes_that_move_a_pointer_end_at_the_newest_and_never_show_half_a_pointer(
    tmp_path: Path,
) -> None:
    spawn = multiprocessing.get_context("spawn")
    start = spawn.Barrier(5)
    movers = [
        spawn.Process(target=_move_steps, args=(str(tmp_path), list(range(part, 60, 4)), start)) for part in range(4)
    ]
    for mover in movers:
        mover.start()
    store, seen = Store.open(str(tmp_path)), [-1]
    start.wait(timeout=60)
    while any(mover.is_alive() for mover in movers):
        pointer = store.read_pointer(POINTER)
        seen.append(pointer.step if pointer else -1)
    for mover in movers:
        mover.join()
        assert mover.exitcode == 0
    assert seen == sorted(seen)
    assert store.read_pointer(POINTER) == ref(59)
