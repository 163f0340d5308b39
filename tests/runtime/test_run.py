"""A service and the run that it is for."""

from __future__ import annotations

import errno
import threading
import time
from pathlib import Path

import pytest
import yaml
from fsspec.implementations.local import LocalFileSystem

from ance.errors import AnceError
from ance.runtime import run as run_module
from ance.runtime.layout import RunLayout
from ance.runtime.run import find_run
from ance.runtime.settings import ServiceSettings
from ance.runtime.shutdown import Shutdown
from ance.runtime.store import Store
from tests.system.tiny import config


@pytest.fixture(autouse=True)
def looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_module, "LOOK_SECONDS", 0.02)


def settings(folder: Path, run_wait_seconds: float) -> ServiceSettings:
    values = {"store": f"file://{folder}", "run": "demo", "cache_dir": folder, "run_wait_seconds": run_wait_seconds}
    return ServiceSettings.model_validate(values)


def create_run(folder: Path) -> None:
    text = yaml.safe_dump(config(folder / "encoder", run="demo"))
    Store.open(f"file://{folder}").write(RunLayout("demo").run_yaml, text.encode())


def test_a_run_that_is_not_there_is_an_error_at_once_that_says_how_to_create_it(tmp_path: Path) -> None:
    with Shutdown(signals=()) as shutdown, pytest.raises(AnceError, match=r"no such run.*ance runs create"):
        find_run(settings(tmp_path, 0), shutdown)


def test_a_service_that_may_wait_finds_the_run_when_it_is_created_and_shows_that_it_is_alive(tmp_path: Path) -> None:
    beats: list[float] = []
    timer = threading.Timer(0.2, create_run, [tmp_path])
    timer.start()
    with Shutdown(signals=()) as shutdown:
        run = find_run(settings(tmp_path, 60), shutdown, beat=lambda: beats.append(time.monotonic()))
    timer.join()
    assert run.config.run == "demo"
    assert len(beats) > 2


def test_the_wait_has_an_end(tmp_path: Path) -> None:
    with Shutdown(signals=()) as shutdown, pytest.raises(AnceError, match="no such run"):
        find_run(settings(tmp_path, 0.1), shutdown)


def test_sigterm_ends_the_wait_as_unfinished_work(tmp_path: Path) -> None:
    with Shutdown(signals=()) as shutdown:
        timer = threading.Timer(0.1, shutdown.request)
        timer.start()
        with pytest.raises(SystemExit) as ended:
            find_run(settings(tmp_path, 60), shutdown)
        timer.join()
    assert ended.value.code == 143


def test_a_service_that_waits_for_an_unreachable_store_is_alive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    create_run(tmp_path)
    beats: list[float] = []
    away = iter([True, True, False])
    read = LocalFileSystem.cat_file

    def cut_off(self: LocalFileSystem, path: str, **options: object) -> object:
        if next(away, False):
            raise OSError(errno.EIO, "the network is down")
        return read(self, path, **options)

    monkeypatch.setattr(LocalFileSystem, "cat_file", cut_off)
    with Shutdown(signals=()) as shutdown:
        find_run(
            settings(tmp_path, 0),
            shutdown,
            writes=False,
            store_wait=lambda seconds: None,
            beat=lambda: beats.append(time.monotonic()),
        )
    assert len(beats) == 2
