"""A local run from start to end, with shell scripts in the place of the services."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Timer

import pytest

from ance.cli import local_run
from ance.cli.local_run import STOPPING, run_local
from ance.cli.stack import Stack, StackOptions, free_port
from ance.cli.supervisor import ProcessSpec
from ance.errors import AnceError
from ance.runtime.layout import RunLayout
from ance.runtime.metrics import SearchMetrics, serve
from ance.runtime.store import Store
from tests.cli.conftest import ref

FOREVER = "exec sleep 60"
INDEX = RunLayout("demo").pointer("index")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_run, "TICK_SECONDS", 0.05)


class Local:
    """A run whose processes are scripts; each says `up` in its log when it starts."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.store = Store.open(f"file://{folder / 'store'}", create=True)
        self.options = StackOptions(self.store.url, "demo", folder, search_port=free_port())
        self.scripts = {"trainer": FOREVER, "indexer": FOREVER, "search": FOREVER}
        metrics = SearchMetrics()
        metrics.index_step.set(80)
        self._registry = metrics.registry
        monkeypatch.setattr(local_run, "plan_stack", lambda options: self._stack)

    @contextmanager
    def serving(self) -> Iterator[None]:
        """Search answers from version 80."""
        with serve(self._registry, 0, "127.0.0.1") as server:
            nobody = f"http://127.0.0.1:{free_port()}/metrics"
            metrics = {"trainer": nobody, "indexer": nobody, "search": f"http://127.0.0.1:{server.port}/metrics"}
            processes = tuple(
                ProcessSpec(name, ("/bin/sh", "-c", f"echo up; {script}"), runs_to_an_end=name != "search")
                for name, script in self.scripts.items()
            )
            self._stack = Stack(processes, metrics, "http://127.0.0.1:1", "redis://127.0.0.1:2/0")
            yield

    def publish_final(self) -> None:
        self.store.move_pointer(INDEX, ref(80, final=True))

    def started(self) -> set[str]:
        return {log.stem for log in (self.folder / "logs").glob("*.log")}


@pytest.fixture
def local(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Local]:
    local = Local(tmp_path, monkeypatch)
    with local.serving():
        yield local


@contextmanager
def ctrl_c(seconds: float) -> Iterator[None]:
    timer = Timer(seconds, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    try:
        yield
    finally:
        timer.join()


@contextmanager
def published_later(local: Local, seconds: float) -> Iterator[None]:
    timer = Timer(seconds, local.publish_final)
    timer.start()
    yield
    timer.join()


def children() -> set[str]:
    """Processes that this one has started and that have not gone."""
    return set(Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split())


def test_ctrl_c_before_the_end_stops_and_says_how_to_go_on(local: Local, capsys: pytest.CaptureFixture[str]) -> None:
    before = children()  # servers that other tests share
    with ctrl_c(0.5):
        assert not run_local(local.options, then_serve=True)
    assert capsys.readouterr().out.splitlines()[-1] == STOPPING
    assert local.started() == {"trainer", "indexer", "search"}
    assert children() <= before


def test_the_run_ends_when_the_indexer_has_recorded_its_last_refresh(tmp_path: Path, local: Local) -> None:
    local.scripts["indexer"] = f"sleep 0.3; touch {tmp_path / 'recorded'}"
    at_end: list[bool] = []
    with local.serving(), published_later(local, 0.15):
        assert run_local(
            local.options, then_serve=False, at_end=lambda: at_end.append((tmp_path / "recorded").exists())
        )
    assert at_end == [True]


def test_of_a_finished_run_only_search_is_started(local: Local, capsys: pytest.CaptureFixture[str]) -> None:
    local.publish_final()
    assert run_local(local.options, then_serve=False)
    assert local.started() == {"search"}
    assert "the run is finished" in capsys.readouterr().out


def test_ctrl_c_while_serving_is_a_good_end(local: Local, capsys: pytest.CaptureFixture[str]) -> None:
    local.publish_final()
    with ctrl_c(0.7):
        assert run_local(local.options, then_serve=True)
    shown = capsys.readouterr().out
    assert "serving until Ctrl-C on http://127.0.0.1:1/v1/search" in shown and STOPPING not in shown


def test_ctrl_c_during_the_report_ends_it_at_once(local: Local, capsys: pytest.CaptureFixture[str]) -> None:
    local.publish_final()

    def report() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        raise AssertionError("not reached")

    assert not run_local(local.options, then_serve=True, at_end=report)
    assert capsys.readouterr().out.splitlines()[-1] == STOPPING


def test_a_process_that_keeps_dying_ends_the_run(local: Local) -> None:
    local.scripts["trainer"] = "echo 'no memory' >&2; exit 1"
    with local.serving(), pytest.raises(AnceError, match=r"trainer died 5 times .*no memory"):
        run_local(local.options, then_serve=True)


def test_a_process_that_dies_while_serving_is_restarted_and_shown(
    local: Local, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    local.publish_final()
    local.scripts["search"] = (
        f"test -e {tmp_path / 'once'} && exec sleep 60; sleep 0.6; touch {tmp_path / 'once'}; exit 1"
    )
    with local.serving(), ctrl_c(1.5):
        assert run_local(local.options, then_serve=True)
    assert "search died (exit status 1): restarted" in capsys.readouterr().out
