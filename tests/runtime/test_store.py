"""The store: atomic writes, keys that cannot escape, and patience."""

from __future__ import annotations

import errno
import logging
import os
from pathlib import Path

import pytest

from ance.errors import AnceError
from ance.runtime.store import Store
from ance.runtime.store.backends import open_backend
from ance.runtime.store.file_writer import FileWriter
from ance.runtime.store.retries import retrying


class Faulty:
    """An operation that fails a number of times and then succeeds."""

    def __init__(self, error: OSError, times: int) -> None:
        self.error = error
        self.left = times
        self.calls = 0

    def __call__(self) -> str:
        self.calls += 1
        if self.left:
            self.left -= 1
            raise self.error
        return "answer"


def test_what_is_written_is_read_back(store: Store) -> None:
    store.write("a/b/c", b"one")
    store.write("a/b/c", b"three")
    assert store.read("a/b/c") == b"three"
    assert store.size("a/b/c") == 5


def test_put_if_absent_keeps_the_first(store: Store) -> None:
    assert store.write_new("a/b", b"first")
    assert not store.write_new("a/b", b"second")
    assert store.read("a/b") == b"first"


def test_only_files_exist_folders_do_not(store: Store) -> None:
    store.write("a/b", b"")
    assert store.exists("a/b")
    assert not store.exists("a")
    assert not store.exists("a/c")


def test_a_missing_key_is_not_found_at_once(store: Store) -> None:
    for ask in (store.read, store.size):
        with pytest.raises(FileNotFoundError):
            ask("nothing/here")


def test_deleting_takes_a_key_or_a_folder_and_forgives_absence(store: Store) -> None:
    for key in ("a/1", "a/2/3", "b"):
        store.write(key, b"x")
    store.delete("a")
    store.delete("b")
    store.delete("b")
    assert not any(store.exists(key) for key in ("a/1", "a/2/3", "b"))


def test_listing_gives_sorted_keys_below_a_folder(store: Store) -> None:
    for key in ("a/2", "a/1/x", "b"):
        store.write(key, b"x")
    assert store.list("a") == ["a/1/x", "a/2"]
    assert store.list("nowhere") == []


def test_files_go_up_and_come_down(store: Store, tmp_path: Path) -> None:
    source, target = tmp_path / "source.bin", tmp_path / "target.bin"
    source.write_bytes(os.urandom(1000))
    store.upload(source, "files/one")
    store.download("files/one", target)
    assert target.read_bytes() == source.read_bytes()


@pytest.mark.parametrize("key", ["", ".", "..", "../x", "a/../../x", "/etc/passwd", "a\\..\\b", "a\0b"])
def test_a_key_that_escapes_the_root_is_refused(store: Store, key: str) -> None:
    with pytest.raises(AnceError, match="inside the store"):
        store.write(key, b"x")
    with pytest.raises(AnceError, match="inside the store"):
        store.delete(key)


def test_a_plain_path_is_a_file_store(tmp_path: Path) -> None:
    Store.open(str(tmp_path)).write("a", b"x")
    assert (tmp_path / "a").read_bytes() == b"x"
    assert Store.open(f"file://{tmp_path}").local("a") == tmp_path / "a"


def test_a_memory_store_has_no_local_paths() -> None:
    assert Store.open("memory://anywhere").local("a") is None


def test_an_unknown_protocol_lists_the_known_ones() -> None:
    with pytest.raises(AnceError, match=r"unknown protocol ftp://.*s3://"):
        Store.open("ftp://host/folder")


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "s3fs", None)
    with pytest.raises(AnceError, match="pip install s3fs"):
        Store.open("s3://bucket/prefix")


def test_a_writable_store_passes_the_check_and_is_left_clean(store: Store) -> None:
    store.write("a", b"x")
    store.check_writable()
    assert store.list("a") == ["a"]


def test_a_missing_root_is_told_apart_and_not_made(tmp_path: Path) -> None:
    with pytest.raises(AnceError, match="is not there: create or mount it"):
        Store.open(str(tmp_path / "unmounted")).check_writable()
    assert not (tmp_path / "unmounted").exists()


def test_create_makes_the_root(tmp_path: Path) -> None:
    Store.open(str(tmp_path / "new" / "store"), create=True).check_writable()


def test_a_root_that_is_a_file_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(AnceError, match="cannot be created"):
        Store.open(str(tmp_path / "file"), create=True)


def test_a_full_disk_is_reported_without_retries(tmp_path: Path) -> None:
    backend = open_backend(str(tmp_path), create=False)

    class FullDisk(FileWriter):
        def replace(self, path: str, data: bytes) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

    store = Store("disk", backend._replace(writer=FullDisk()), retry_seconds=60)
    with pytest.raises(AnceError, match=r"store disk: could not write a/b: .*No space left"):
        store.write("a/b", b"x")


def test_transient_errors_are_retried_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    operation = Faulty(TimeoutError("slow network"), times=3)
    pauses: list[float] = []
    with caplog.at_level(logging.WARNING):
        assert retrying(operation, "read a/b", seconds=60, wait=pauses.append) == "answer"
    assert operation.calls == 4
    assert pauses == sorted(pauses)
    assert pauses[2] > pauses[0]
    assert "store unreachable, retrying" in caplog.text
    assert "read a/b: slow network" in caplog.text


def test_retries_end_with_the_time_given_for_them() -> None:
    operation = Faulty(ConnectionError("refused"), times=1_000_000)
    with pytest.raises(ConnectionError, match="refused"):
        retrying(operation, "read a", seconds=0.3)
    assert 2 <= operation.calls <= 10


def test_retries_end_when_waiting_says_so() -> None:
    operation = Faulty(ConnectionError("refused"), times=1_000_000)
    with pytest.raises(ConnectionError):
        retrying(operation, "read a", seconds=60, wait=lambda _: True)
    assert operation.calls == 1


@pytest.mark.parametrize(
    "error",
    [FileNotFoundError("a"), PermissionError("a"), FileExistsError("a"), OSError(errno.ENOSPC, "full")],
)
def test_answers_are_not_retried(error: OSError) -> None:
    operation = Faulty(error, times=1)
    with pytest.raises(type(error)):
        retrying(operation, "read a", seconds=60)
    assert operation.calls == 1


def test_a_store_that_stays_unreachable_is_one_clear_line(tmp_path: Path) -> None:
    backend = open_backend(str(tmp_path), create=False)

    class Unplugged:
        def cat_file(self, path: str) -> bytes:
            raise ConnectionError("refused")

    with pytest.raises(AnceError, match=r"store net: could not read a: unreachable, gave up: refused"):
        Store("net", backend._replace(fs=Unplugged()), retry_seconds=0).read("a")


def test_a_crash_before_the_name_is_given_leaves_nothing_that_is_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store.open(str(tmp_path))

    class Killed(BaseException):
        """Stands for SIGKILL: nothing handles it."""

    def die(*_: object, **__: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(os, "link", die)
        patch.setattr(Path, "unlink", die)
        with pytest.raises(Killed):
            store.write_new("a/b", b"x")
    assert len(list((tmp_path / "a").iterdir())) == 1  # the temporary file
    assert store.list("a") == []
    assert store.write_new("a/b", b"y")


def test_replacing_never_changes_what_a_reader_has_open(tmp_path: Path) -> None:
    store = Store.open(str(tmp_path))
    new = tmp_path / "new.bin"
    new.write_bytes(b"new")
    for replace in (lambda: store.write("a", b"new"), lambda: store.upload(new, "a")):
        store.write("a", b"old")
        with (tmp_path / "a").open("rb") as reader:
            replace()
            assert reader.read() == b"old"
        assert store.read("a") == b"new"


def test_a_linked_upload_shares_the_file_and_a_plain_one_copies_it(tmp_path: Path) -> None:
    store, source = Store.open(str(tmp_path / "store"), create=True), tmp_path / "source.bin"
    source.write_bytes(b"x")
    source.chmod(0o600)
    store.upload(source, "copied")
    store.upload(source, "linked", link=True)
    store.upload(source, "linked", link=True)
    assert not (tmp_path / "store" / "copied").samefile(source)
    assert (tmp_path / "store" / "linked").samefile(source)
    assert (tmp_path / "store" / "linked").stat().st_mode & 0o444 == 0o444
    assert sorted(path.name for path in (tmp_path / "store").iterdir()) == ["copied", "linked"]
