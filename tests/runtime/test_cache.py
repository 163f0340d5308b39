"""The cache of downloads stays within its limit and never takes away what somebody reads."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from ance.errors import AnceError
from ance.runtime.artifacts.cache import HELD, Cache

SIZE = 1000


def slot(number: int) -> str:
    return f"{number:064x}"


def get(cache: Cache, number: int, role: str = "index") -> Path:
    """A slot of `SIZE` bytes."""

    def fill(folder: Path) -> None:
        folder.mkdir()
        (folder / "data").write_bytes(bytes([number]) * SIZE)

    return cache.get(slot(number), role, SIZE, fill)


def used_at(cache: Cache, number: int, second: int) -> None:
    """As if a slot had been used last so many seconds after the epoch."""
    os.utime(cache._lock(slot(number)), (second, second))


def kept(cache: Cache) -> list[int]:
    return sorted(int(path.name, 16) for path in cache.folder.iterdir() if not path.name.startswith("."))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def left_behind(folder: Path) -> Cache:
    """A cache with slots 1, 2, 3, used in the order 2, 3, 1 by a process that is gone."""
    earlier = Cache(folder)
    for number, second in ((1, 30), (2, 10), (3, 20)):
        get(earlier, number, role=f"role {number}")
        used_at(earlier, number, second)
    for held in earlier._held.values():
        for lock in held.values():
            os.close(lock)
    return Cache(folder)


def test_without_a_limit_everything_stays(left_behind: Cache) -> None:
    get(left_behind, 4)
    assert kept(left_behind) == [1, 2, 3, 4]


def test_the_least_recently_used_goes_first(left_behind: Cache) -> None:
    left_behind.limit = 3 * SIZE
    get(left_behind, 4)
    assert kept(left_behind) == [1, 3, 4]
    get(left_behind, 5)
    assert kept(left_behind) == [1, 4, 5]


def test_a_hit_counts_as_a_use_and_evicts_nothing(left_behind: Cache) -> None:
    left_behind.limit = 3 * SIZE
    get(left_behind, 2, role="mine")
    assert kept(left_behind) == [1, 2, 3]
    get(left_behind, 4)
    assert kept(left_behind) == [1, 2, 4]


def test_what_this_process_holds_is_not_evicted_but_refused(left_behind: Cache) -> None:
    left_behind.limit = 3 * SIZE
    for number in (1, 2, 3):
        get(left_behind, number, role=f"role {number}")
    with pytest.raises(AnceError, match=r"1000 bytes to download, 3000 in use.* 3000 allowed: raise ANCE_CACHE_BYTES"):
        get(left_behind, 4)
    assert kept(left_behind) == [1, 2, 3]


def test_newer_versions_of_a_role_let_go_of_the_oldest(folder: Path) -> None:
    cache = Cache(folder)
    cache.limit = (HELD + 1) * SIZE
    for number in range(HELD + 3):
        get(cache, number)
        used_at(cache, number, number)
    assert kept(cache) == list(range(2, HELD + 3))


READER = """
import sys, time
from pathlib import Path
from ance.runtime.artifacts.cache import Cache
Cache(Path(sys.argv[1])).get(sys.argv[2], "index", 0, lambda folder: None)
print("reading", flush=True)
time.sleep(60)
"""


def test_what_another_process_reads_stays_until_that_process_dies(left_behind: Cache) -> None:
    left_behind.limit = 3 * SIZE
    arguments = [sys.executable, "-c", READER, str(left_behind.folder), slot(2)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE) as reader:
        try:
            assert reader.stdout is not None and reader.stdout.readline() == b"reading\n"
            used_at(left_behind, 2, 0)
            get(left_behind, 4)
            assert 2 in kept(left_behind)
        finally:
            reader.kill()
    get(left_behind, 5)
    assert 2 not in kept(left_behind)


def test_of_those_who_want_the_same_at_once_one_downloads_and_the_others_wait_for_it(folder: Path) -> None:
    filled: list[Path] = []

    def fill(temporary: Path) -> None:
        filled.append(temporary)
        time.sleep(0.2)
        temporary.mkdir()
        (temporary / "data").write_bytes(b"whole")

    found: list[bytes] = []

    def want() -> None:
        # A cache of its own, as another process has.
        found.append((Cache(folder).get(slot(1), "index", SIZE, fill) / "data").read_bytes())

    threads = [threading.Thread(target=want) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [b"whole"] * 4
    assert len(filled) == 1


def test_what_a_crash_has_left_of_a_download_goes_too(left_behind: Cache) -> None:
    torn = left_behind.folder / f".{slot(9)}.{'0' * 32}.tmp"
    torn.mkdir()
    (torn / "data").write_bytes(bytes(SIZE))
    left_behind.limit = 4 * SIZE
    get(left_behind, 4)
    assert not torn.exists()
    assert kept(left_behind) == [1, 2, 3, 4]


def test_a_file_that_is_open_stays_readable_whatever_is_evicted(left_behind: Cache) -> None:
    with (left_behind.folder / slot(2) / "data").open("rb") as file:
        left_behind.limit = 3 * SIZE
        get(left_behind, 4)
        assert 2 not in kept(left_behind)
        assert file.read() == bytes([2]) * SIZE


def test_what_does_not_fit_on_the_disk_is_said(folder: Path) -> None:
    with pytest.raises(AnceError, match="make room or move the cache"):
        Cache(folder).get(slot(1), "index", 1 << 60, lambda folder: None)


def test_other_files_in_the_folder_are_left_alone(left_behind: Cache) -> None:
    other = left_behind.folder / "tmpk3j2"
    other.mkdir()
    (other / "staging").write_bytes(bytes(10 * SIZE))
    left_behind.limit = SIZE
    get(left_behind, 4)
    assert kept_names(left_behind) == {slot(4), "tmpk3j2"}


def kept_names(cache: Cache) -> set[str]:
    return {path.name for path in cache.folder.iterdir() if not path.name.startswith(".")}
