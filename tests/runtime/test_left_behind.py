"""Work that is waited for only as long as one cares."""

from __future__ import annotations

import threading

import pytest

from ance.runtime.left_behind import LeftBehind, unless


def test_the_result_is_that_of_the_work() -> None:
    assert unless(lambda: False, lambda: 42) == 42


def test_an_error_is_that_of_the_work() -> None:
    def fail() -> None:
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        unless(lambda: False, fail)


def test_work_is_left_behind_when_one_gives_up() -> None:
    release, asked = threading.Event(), []

    def give_up() -> bool:
        asked.append(True)
        return len(asked) == 2

    with pytest.raises(LeftBehind):
        unless(give_up, release.wait)
    release.set()


def test_work_that_is_done_counts_even_if_one_would_have_given_up() -> None:
    assert unless(lambda: True, lambda: "done") == "done"
