"""Processes are restarted like a kubelet does it, given up when they keep dying, and never left behind."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ance.cli.supervisor import CRASH_LIMIT, ProcessSpec, Supervisor
from ance.errors import AnceError
from tests.processes import alive

SLEEPS = ("sleep", "60")


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[Supervisor]:
    supervisor = Supervisor(tmp_path / "logs", grace_seconds=0.5)
    yield supervisor
    supervisor.stop()


def shell(name: str, script: str, **options: bool) -> ProcessSpec:
    return ProcessSpec(name, ("/bin/sh", "-c", script), **options)  # type: ignore[arg-type]


def wait_until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def check_until_error(supervisor: Supervisor) -> str:
    with pytest.raises(AnceError) as error:
        wait_until(lambda: bool(supervisor.check()))  # type: ignore[func-returns-value]
    return str(error.value)


def test_a_killed_process_is_restarted_and_it_is_said_once(supervisor: Supervisor) -> None:
    supervisor.start(ProcessSpec("worker", SLEEPS))
    first = supervisor.pid("worker")
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: not alive(first))
    supervisor.check()
    assert supervisor.pid("worker") != first and alive(supervisor.pid("worker"))
    (event,) = supervisor.new_events()
    assert event.startswith("worker died (signal SIGKILL): restarted") and "worker.log" in event
    assert supervisor.new_events() == []


def test_a_process_that_runs_to_an_end_is_finished_after_status_0(supervisor: Supervisor) -> None:
    supervisor.start(shell("trainer", "exit 0", runs_to_an_end=True))
    assert not supervisor.finished("trainer")

    def finished() -> bool:
        supervisor.check()
        return supervisor.finished("trainer")

    wait_until(finished)
    assert supervisor.new_events() == []


def test_a_service_that_ends_with_status_0_is_restarted(supervisor: Supervisor) -> None:
    supervisor.start(shell("search", "exit 0"))
    first = supervisor.pid("search")
    wait_until(lambda: not alive(first))
    supervisor.check()
    assert "search died (exit status 0): restarted" in supervisor.new_events()[0]


def test_a_process_that_keeps_dying_is_given_up_with_its_last_line(supervisor: Supervisor, tmp_path: Path) -> None:
    supervisor.start(shell("indexer", "echo loading; echo 'ValueError: no such thing' >&2; exit 1"))
    error = check_until_error(supervisor)
    assert f"indexer died {CRASH_LIMIT} times" in error and "last with exit status 1" in error
    assert "ValueError: no such thing" in error and str(tmp_path / "logs" / "indexer.log") in error
    assert len(supervisor.new_events()) == CRASH_LIMIT - 1


def test_a_line_of_an_earlier_start_is_not_taken_for_the_last_words(supervisor: Supervisor, tmp_path: Path) -> None:
    (tmp_path / "logs" / "indexer.log").write_text("yesterday\n")
    supervisor.start(shell("indexer", "exit 1"))
    assert "it printed nothing" in check_until_error(supervisor)


def test_a_users_error_in_a_service_is_shown_at_once(supervisor: Supervisor) -> None:
    script = "echo '{}'; echo 'ance-trainer: error: run.yaml: bad: error: key' >&2; echo bye >&2; exit 2"
    supervisor.start(shell("trainer", script))
    assert check_until_error(supervisor) == "trainer: run.yaml: bad: error: key"
    assert supervisor.new_events() == []


def test_what_a_process_writes_goes_to_its_log(supervisor: Supervisor, tmp_path: Path) -> None:
    supervisor.start(shell("one", "echo out; echo err >&2; exec sleep 60"))
    wait_until(lambda: (tmp_path / "logs" / "one.log").read_text() == "out\nerr\n")


def test_the_environment_is_added_to_that_of_the_command(supervisor: Supervisor, tmp_path: Path) -> None:
    command = ("/bin/sh", "-c", 'echo "$ANCE_RUN $HOME"; exec sleep 60')
    supervisor.start(ProcessSpec("one", command, {"ANCE_RUN": "demo"}))
    wait_until(lambda: (tmp_path / "logs" / "one.log").read_text() == f"demo {os.environ['HOME']}\n")


def test_what_the_others_need_stops_after_them(supervisor: Supervisor, tmp_path: Path) -> None:
    order = tmp_path / "order"

    def says(name: str, pause: str) -> str:
        return f"trap 'sleep {pause}; echo {name} >> {order}; exit 0' TERM; echo up; while :; do sleep 0.02; done"

    supervisor.start(shell("redis", says("redis", "0"), stops_last=True))
    supervisor.start(shell("trainer", says("trainer", "0.2")))
    wait_until(lambda: all((tmp_path / "logs" / f"{name}.log").read_text() == "up\n" for name in ("redis", "trainer")))
    supervisor.stop()
    assert order.read_text().split() == ["trainer", "redis"]


def test_a_process_that_ignores_sigterm_is_killed_after_the_grace(supervisor: Supervisor, tmp_path: Path) -> None:
    supervisor.start(shell("deaf", "trap '' TERM; echo up; while :; do sleep 0.05; done"))
    wait_until(lambda: (tmp_path / "logs" / "deaf.log").read_text() == "up\n")
    pid = supervisor.pid("deaf")
    supervisor.stop()
    assert not alive(pid)
    assert supervisor.new_events() == ["deaf did not stop in 0.5 s: killed"]


def test_one_process_can_be_removed(supervisor: Supervisor) -> None:
    for name in ("one", "two"):
        supervisor.start(ProcessSpec(name, SLEEPS))
    one, two = supervisor.pid("one"), supervisor.pid("two")
    supervisor.remove("one")
    supervisor.check()
    assert not alive(one) and alive(two)
    assert supervisor.new_events() == []


def test_stopping_twice_is_harmless(supervisor: Supervisor) -> None:
    supervisor.start(ProcessSpec("one", SLEEPS))
    supervisor.stop()
    supervisor.stop()


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's parent-death signal")
def test_processes_die_with_a_killed_supervisor(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from ance.cli.supervisor import *\n"
        "supervisor = Supervisor(Path(sys.argv[1])); supervisor.start(ProcessSpec('one', ('sleep', '60')))\n"
        "print(supervisor.pid('one'), flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code, tmp_path], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert alive(child)
        parent.kill()
    wait_until(lambda: not alive(child))
