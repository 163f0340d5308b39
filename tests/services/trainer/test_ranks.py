"""How processes that train together find each other, and what happens when one is missing or comes too late."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from ance.errors import TemporaryError
from ance.runtime.left_behind import LeftBehind
from ance.runtime.settings import load
from ance.training.data_parallel import ALONE, PeerLost
from services.trainer.ranks import Place, Ranks, join
from tests.ranks import ended, free_port, start, together
from tests.services.service_run import wait_until

SECONDS = 30.0
JOINED, LOST, STOPPED, TEMPORARY = range(4)
"""Exit codes of the processes in these tests."""


def place(rank: int = 0, world_size: int = 1, **changes: Any) -> Place:
    return Place(rank=rank, world_size=world_size, local_rank=0, **changes)


def joined(folder: Path, delays: tuple[float, ...], patience: float = SECONDS) -> None:
    """Join after this rank's delay, and stay until the test says that it is over; exits with how it went."""
    mine = load(Place)
    time.sleep(delays[mine.rank])
    deadline = time.monotonic() + patience
    try:
        with join(mine, "cpu", SECONDS, stop=lambda: time.monotonic() > deadline):
            (folder / f"joined{mine.rank}").touch()
            while not (folder / "over").exists():
                time.sleep(0.01)
    except LeftBehind:
        raise SystemExit(STOPPED) from None
    except PeerLost:
        raise SystemExit(LOST) from None
    except TemporaryError:
        raise SystemExit(TEMPORARY) from None


def test_one_process_waits_for_nobody_and_talks_to_itself() -> None:
    with join(place(), "cpu", SECONDS, stop=lambda: True) as ranks:
        assert ranks.exchange([3, -1]) == [[3, -1]]
        ranks.post("subject", "text")
        assert ranks.read("subject") is None
        assert ranks.leads and ranks.parallel == ALONE


@pytest.mark.parametrize("delays", [(0.0, 0.5), (0.5, 0.0)], ids=["rank 1 comes late", "rank 0 comes late"])
def test_they_wait_for_each_other_and_one_that_comes_in_place_of_another_is_sent_away(
    tmp_path: Path, delays: tuple[float, ...]
) -> None:
    port = str(free_port())
    processes = start(joined, (tmp_path, delays), MASTER_PORT=port)
    wait_until(lambda: len(list(tmp_path.iterdir())) == 2)
    replacement = start(joined, (tmp_path, (0.0, 0.0)), size=1, RANK="1", WORLD_SIZE="2", MASTER_PORT=port)
    assert ended(replacement) == [LOST]
    (tmp_path / "over").touch()
    assert ended(processes) == [JOINED, JOINED]


@pytest.mark.parametrize("rank", ["0", "1"])
def test_a_wish_to_stop_ends_the_wait_for_the_others(tmp_path: Path, rank: str) -> None:
    started = time.monotonic()
    arguments = (tmp_path, (0.0, 0.0), 0.3)
    lonely = start(joined, arguments, size=1, RANK=rank, WORLD_SIZE="2", MASTER_PORT=str(free_port()))
    assert ended(lonely) == [STOPPED]
    assert time.monotonic() - started < 20


def test_a_port_that_is_in_use_is_a_problem_that_passes(tmp_path: Path) -> None:
    port = str(free_port())
    holder = start(joined, (tmp_path, (0.0, 0.0)), MASTER_PORT=port)
    wait_until(lambda: len(list(tmp_path.iterdir())) == 2)
    second = start(joined, (tmp_path, (0.0, 0.0)), size=1, RANK="0", WORLD_SIZE="2", MASTER_PORT=port)
    assert ended(second) == [TEMPORARY]
    (tmp_path / "over").touch()
    assert ended(holder) == [JOINED, JOINED]


def said(folder: Path) -> tuple[list[list[int]], str | None, str | None]:
    mine = load(Place)
    with join(mine, "cpu", SECONDS, stop=lambda: False) as ranks:
        unposted = ranks.read("other subject")
        if mine.leads:
            ranks.post("subject", "first")
            ranks.post("subject", "Überschrift")
        table = ranks.exchange([mine.rank, -(2**62)])
        text = ranks.told("subject", stop=lambda: False)
        ranks.exchange([0])  # the board goes with rank 0
        return table, text, unposted


def test_numbers_are_exchanged_by_rank_and_what_rank_0_has_posted_last_is_read_by_all(tmp_path: Path) -> None:
    table = [[0, -(2**62)], [1, -(2**62)]]
    assert together(said, tmp_path) == [(table, "Überschrift", None)] * 2


@pytest.mark.parametrize(
    ("device", "world_size", "expected"), [("cuda", 1, "cuda"), ("cuda", 4, "cuda:3"), ("cpu", 4, "cpu")]
)
def test_each_process_of_a_pod_has_a_gpu_of_its_own(device: str, world_size: int, expected: str) -> None:
    assert Place(rank=3, world_size=world_size, local_rank=3).device(device) == expected


def test_waiting_for_what_was_never_posted_ends_with_the_wish_to_stop() -> None:
    assert Ranks(place()).told("subject", stop=lambda: True) is None
