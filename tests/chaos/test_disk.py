"""The disk is full: nothing half-written is seen, it is said, and all goes on once there is room."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ance.errors import AnceError
from ance.runtime.artifacts import fetch, publish, published
from ance.runtime.contracts import Kind
from ance.runtime.queue import TaskQueue
from ance.runtime.redis.client import connect
from ance.runtime.redis.local_server import LocalRedis
from ance.runtime.store import Store
from tests.chaos.conftest import PASSAGES, STEP, conditions, new_run
from tests.chaos.outcome import assert_undisturbed
from tests.chaos.processes import Fleet, wait_for
from tests.chaos.reader import Reader
from tests.services.service_run import prepare_store

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(300)]

DISK_BYTES = 16 << 20
NO_SPACE = os.strerror(errno.ENOSPC)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on a small disk of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    options = ["-t", "tmpfs", "-o", f"size={DISK_BYTES}", "ance-chaos"]
    mounted = subprocess.run(["mount", *options, folder], capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"to mount a small disk one must be root: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def fill(disk: Path, *, free: int) -> Path:
    """Leave so many bytes free. Delete the file that this returns, and there is room again."""
    ballast = disk / "ballast"
    left = os.statvfs(disk)
    with ballast.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, left.f_bavail * left.f_frsize - free)
    return ballast


def test_a_refresh_stops_and_says_why_and_goes_on_where_it_was(
    disk: Path, tmp_path: Path, redis: LocalRedis, fleets: list[Fleet]
) -> None:
    run, checkpoint = new_run(prepare_store(disk, PASSAGES), tmp_path, "full", shard_size=4)
    ballast = fill(disk, free=100_000)
    fleet = Fleet(conditions(tmp_path, run, redis))
    fleets.append(fleet)
    with Reader(run, STEP) as reader:
        for name in ("indexer-0", "inferencer-0"):
            fleet.start(name)
        wait_for(lambda: not fleet.running("indexer"), 120)
        assert fleet.processes["indexer-0"].exitcode == 2
        assert NO_SPACE in (tmp_path / "indexer-0.log").read_text()
        assert run.store.read_pointer(run.layout.pointer("index")) is None
        assert list(run.path(run.layout.root).rglob("*.tmp")) == []
        ballast.unlink()
        with connect(redis.url) as client:
            dead = TaskQueue(client, run.config.run, "a person").dead_letters
            wait_for(lambda: all(NO_SPACE in letter.error for letter in dead) and len(dead) > 0, 10)
            dead.requeue()
        fleet.start("indexer-0")
        wait_for(lambda: fleet.finished("indexer"), 120)
    assert reader.looks > 10 and reader.complaints == []
    assert_undisturbed(run, checkpoint)


def staged(tmp_path: Path) -> Path:
    """A folder of two files to publish, of which one fits on a disk that has 100 kB left."""
    folder = tmp_path / "staging"
    folder.mkdir()
    (folder / "a-small").write_bytes(bytes(1_000))
    (folder / "b-large").write_bytes(bytes(1_000_000))
    return folder


def test_what_could_not_be_published_is_not_there_and_can_be_published_later(disk: Path, tmp_path: Path) -> None:
    store, folder = Store.open(str(disk)), staged(tmp_path)
    ballast = fill(disk, free=100_000)
    with pytest.raises(AnceError, match=f"could not write indexes/1/b-large: .*{NO_SPACE}"):
        publish(store, "indexes/1", folder, kind=Kind.INDEX, pointer="latest/index.json")
    assert published(store, "indexes/1") is None and store.read_pointer("latest/index.json") is None
    assert list(disk.rglob("*.tmp")) == []
    ballast.unlink()
    ref = publish(store, "indexes/1", folder, kind=Kind.INDEX, pointer="latest/index.json")
    assert (fetch(store, ref, tmp_path / "cache") / "b-large").stat().st_size == 1_000_000


def test_a_download_that_finds_the_disk_full_leaves_nothing_behind(
    disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store.open("memory://full-disk")
    ref = publish(store, "indexes/1", staged(tmp_path), kind=Kind.INDEX)
    download = Store.download

    def fill_meanwhile(self: Store, key: str, target: Path) -> None:
        """There was room when the download began."""
        if not (disk / "ballast").exists():
            fill(disk, free=100_000)
        download(self, key, target)

    with monkeypatch.context() as patch:
        patch.setattr(Store, "download", fill_meanwhile)
        with pytest.raises(AnceError, match=NO_SPACE):
            fetch(store, ref, disk / "cache")
    with pytest.raises(AnceError, match="make room or move the cache"):
        fetch(store, ref, disk / "cache")
    assert not list((disk / "cache").rglob("b-large"))
    (disk / "ballast").unlink()
    assert (fetch(store, ref, disk / "cache") / "b-large").stat().st_size == 1_000_000
