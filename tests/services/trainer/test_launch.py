"""The launcher of trainer processes: what it tells them, and how it ends."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from ance.errors import AnceError
from ance.runtime.settings import load
from ance.runtime.shutdown import Shutdown
from services.trainer.launch import LaunchSettings, launch, main
from tests.processes import alive
from tests.services.service_run import wait_until

PRELUDE = """
import os, pathlib, signal, sys, time

rank = int(os.environ["RANK"])

def on_sigterm(leave):
    signal.signal(signal.SIGTERM, lambda *_: leave())
    pathlib.Path(f"ready{rank}").touch()

def other_is_ready():
    while not os.path.exists(f"ready{1 - rank}"):
        time.sleep(0.01)
"""


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def launched(code: str, shutdown: Shutdown, **settings: object) -> int:
    """The exit code for two workers that run `code`."""
    options = LaunchSettings.model_validate({"processes": 2, "grace_seconds": 20.0, **settings})
    return launch(options, shutdown, os.environ, (sys.executable, "-c", PRELUDE + code))


def test_each_worker_learns_its_place_as_torchrun_would_tell_it_and_its_share_of_the_threads() -> None:
    settings = LaunchSettings(processes=4, nodes=2, node_rank=1, master_addr="ance-0.ranks", threads=10)
    assert settings.environment(3) == {
        "RANK": "7",
        "LOCAL_RANK": "3",
        "WORLD_SIZE": "8",
        "LOCAL_WORLD_SIZE": "4",
        "MASTER_ADDR": "ance-0.ranks",
        "MASTER_PORT": "29500",
        "ANCE_THREADS": "2",
    }


def test_workers_die_with_a_launcher_that_is_killed(tmp_path: Path) -> None:
    worker = PRELUDE + "pathlib.Path(f'pid{rank}').write_text(str(os.getpid())); time.sleep(60)"
    code = (
        "import os, sys; from ance.runtime.shutdown import Shutdown; from services.trainer.launch import *\n"
        f"launch(LaunchSettings(processes=2), Shutdown(), os.environ, (sys.executable, '-c', {worker!r}))"
    )
    environ = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    with subprocess.Popen([sys.executable, "-c", code], env=environ) as launcher:
        pids = [tmp_path / f"pid{rank}" for rank in range(2)]
        wait_until(lambda: all(path.exists() and path.read_text() for path in pids), seconds=30)
        launcher.kill()
    for path in pids:
        wait_until(lambda path=path: not alive(int(path.read_text())))


def test_it_ends_with_0_when_all_have_finished(shutdown: Shutdown) -> None:
    assert launched("pass", shutdown) == 0


@pytest.mark.parametrize(
    ("ends", "expected"),
    [("sys.exit(75)", 75), ("os.kill(os.getpid(), signal.SIGKILL)", 137), ("sys.exit(2)", 2)],
)
def test_the_one_that_failed_says_how_it_ended_and_the_others_are_told_to_stop(
    shutdown: Shutdown, ends: str, expected: int
) -> None:
    started = time.monotonic()
    code = f"""
if rank == 1:
    {ends}
time.sleep(60)"""
    assert launched(code, shutdown) == expected
    assert time.monotonic() - started < 15


def test_a_mistake_of_the_user_s_counts_whoever_found_it_first(shutdown: Shutdown) -> None:
    code = """
if rank == 1:
    other_is_ready()
    sys.exit(75)
on_sigterm(lambda: sys.exit(2))
time.sleep(60)"""
    assert launched(code, shutdown) == 2


def test_a_failure_counts_before_the_interruption_of_those_who_noticed_it(shutdown: Shutdown) -> None:
    code = """
if rank == 0:
    other_is_ready()
    sys.exit(143)
on_sigterm(lambda: os.kill(os.getpid(), signal.SIGKILL))
time.sleep(60)"""
    assert launched(code, shutdown) == 137


def test_a_wish_to_stop_reaches_every_worker_and_their_answer_is_the_exit_code(
    shutdown: Shutdown, tmp_path: Path
) -> None:
    code = """
on_sigterm(lambda: sys.exit(143))
time.sleep(60)"""
    codes: list[int] = []
    thread = threading.Thread(target=lambda: codes.append(launched(code, shutdown)))
    thread.start()
    wait_until(lambda: len(list(tmp_path.iterdir())) == 2)
    shutdown.request()
    thread.join()
    assert codes == [143]


@pytest.mark.parametrize("expected", [75, 143])
def test_a_worker_that_does_not_leave_in_time_is_killed_and_that_is_no_failure(
    shutdown: Shutdown, expected: int
) -> None:
    code = f"""
if rank == 0:
    other_is_ready()
    sys.exit({expected})
on_sigterm(lambda: None)
time.sleep(60)"""
    started = time.monotonic()
    assert launched(code, shutdown, grace_seconds=1.0) == expected
    assert time.monotonic() - started < 15


def test_a_pod_that_counts_itself_beyond_the_last_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANCE_NODES", "2")
    monkeypatch.setenv("ANCE_NODE_RANK", "2")
    with pytest.raises(AnceError, match="count from 0"):
        main()


def test_a_number_of_processes_that_is_none_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANCE_PROCESSES", "0")
    with pytest.raises(AnceError, match="ANCE_PROCESSES"):
        load(LaunchSettings)
