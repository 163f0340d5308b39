"""SIGTERM while a service starts: PyTorch takes seconds to import, and a pod that is deleted must not stay for it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ance.runtime.process import TERMINATED
from ance.runtime.store import Store
from tests.services.service_run import wait_until

SERVICES = ("trainer", "inferencer", "indexer", "search_api")
MOMENTS = (0.0, 0.4, 2.0)
"""Seconds from the first moment at which a signal is heeded: in the imports, and in the wait for the run."""
LEAVING_SECONDS = 5.0
"""Longer than any one import of a library that is compiled, on a busy machine."""
PROCESS = Path("/proc")

pytestmark = pytest.mark.skipif(not PROCESS.is_dir(), reason="/proc tells which signals a process heeds")


def start(command: list[str], folder: Path, **variables: str) -> subprocess.Popen[str]:
    """A process whose run is never created."""
    settings = {
        "ANCE_STORE": f"file://{folder}",
        "ANCE_RUN": "later",
        "ANCE_RUN_WAIT_SECONDS": "600",
        "ANCE_CACHE_DIR": str(folder / "cache"),
        "ANCE_METRICS_PORT": "0",
        "ANCE_LOG_LEVEL": "ERROR",
    }
    environment = os.environ | settings | variables
    return subprocess.Popen([sys.executable, "-m", *command], env=environment, stderr=subprocess.PIPE, text=True)


def heeds_sigterm(process: subprocess.Popen[str]) -> bool:
    status = (PROCESS / str(process.pid) / "status").read_text()
    (caught,) = (line.split()[1] for line in status.splitlines() if line.startswith("SigCgt:"))
    return bool(int(caught, 16) >> (signal.SIGTERM - 1) & 1)


def assert_leaves_at_once(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGTERM)
    _, log = process.communicate(timeout=LEAVING_SECONDS)
    assert (process.returncode, log) == (TERMINATED, "")


@pytest.mark.parametrize("service", SERVICES)
def test_a_signal_is_heeded_before_anything_large_is_imported(service: str, tmp_path: Path) -> None:
    (tmp_path / "pydantic.py").write_text("import time\ntime.sleep(600)\n")  # which every service needs first
    process = start([f"services.{service}"], tmp_path, PYTHONPATH=str(tmp_path))
    try:
        wait_until(lambda: heeds_sigterm(process))
        assert_leaves_at_once(process)
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_that_is_told_to_stop_while_it_starts_leaves_at_once_without_a_word(
    service: str, tmp_path: Path
) -> None:
    Store.open(f"file://{tmp_path}", create=True)
    processes = [start([f"services.{service}"], tmp_path) for _ in MOMENTS]
    try:
        wait_until(lambda: all(map(heeds_sigterm, processes)))
        heeded = time.monotonic()
        for process, moment in zip(processes, MOMENTS, strict=True):
            time.sleep(max(0.0, heeded + moment - time.monotonic()))
            assert_leaves_at_once(process)
    finally:
        for process in processes:
            process.kill()
            process.wait()


def test_a_command_in_a_job_leaves_at_once_too(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "corpus.jsonl")  # nobody ever writes the corpus
    process = start(["ance.cli", "prepare", f"--dataset=beir:{tmp_path}", f"--store=file://{tmp_path}"], tmp_path)
    wait_until(lambda: heeds_sigterm(process))
    assert_leaves_at_once(process)
