"""The artifact store: bytes under keys, and pointers that only move forward.

A store is named by an fsspec URL. `file://` (or a plain path) is a folder or a shared volume; `memory://` is
its twin within one process; `s3://`, `gs://` and `az://` need the package of their file system.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import TypeVar

from ance.errors import AnceError, TemporaryError
from ance.runtime.contracts import ArtifactRef
from ance.runtime.store.backends import Backend, open_backend
from ance.runtime.store.file_writer import FileWriter, is_scratch
from ance.runtime.store.pointers import StaleFencingToken, parse_pointer, same_artifact, supersedes
from ance.runtime.store.retries import Wait, is_transient, retrying

__all__ = ["StaleFencingToken", "Store"]

T = TypeVar("T")


class Store:
    """Bytes under keys: relative paths with forward slashes, which cannot leave the store's root.

    Every method retries while the store is unreachable and logs that it does. What then remains is an
    AnceError that names the store and the key. A key that is not there is a FileNotFoundError, at once.

    Args:
        url: names the store in errors.
        backend: what it reads and writes through.
        retry_seconds: how long a call goes on while the store is unreachable.
        wait: waits between two tries; a true result gives up, as `Shutdown.wait` returns on SIGTERM.
    """

    def __init__(self, url: str, backend: Backend, *, retry_seconds: float = 300.0, wait: Wait = time.sleep) -> None:
        self.url = url
        self._fs, self._root, self._writer = backend.fs, backend.root, backend.writer
        self._backend = backend
        self._retry_seconds = retry_seconds
        self._wait = wait

    @classmethod
    def open(cls, url: str, *, create: bool = False, retry_seconds: float = 300.0, wait: Wait = time.sleep) -> Store:
        """Open the store at a URL or a plain path. Nothing in it is read or written yet.

        Args:
            url: `file:///folder`, a plain path, `memory://name`, or bucket and prefix of an object store.
            create: make the folder of a file store if it is missing.
            retry_seconds: as of the class.
            wait: as of the class.

        Raises:
            AnceError: an unknown protocol, or one whose package is not installed.
        """
        return cls(url, open_backend(url, create=create), retry_seconds=retry_seconds, wait=wait)

    def check_writable(self) -> None:
        """Fail early, with one clear line: put, read back and delete a small object.

        Raises:
            AnceError: the root of a file store is missing, an object store does not know conditional writes, or
                the store cannot be written.
        """
        objection = self._attempt("write", self._root, lambda: self._writer.objection(self._root))
        if objection is not None:
            raise AnceError(f"store {self.url}: {objection}")
        probe = f".probe-{uuid.uuid4().hex}"
        self.write_new(probe, b"ance")  # False where the answer to a first try was lost
        if self.read(probe) != b"ance":
            raise AnceError(f"store {self.url}: what was written could not be read back")
        self.delete(probe)

    def read(self, key: str) -> bytes:
        """All bytes of a key.

        Raises:
            FileNotFoundError: there is no such key.
        """
        path = self._path(key)
        data: bytes = self._attempt("read", key, lambda: self._fs.cat_file(path, **self._backend.read_options))
        return data

    def write_new(self, key: str, data: bytes) -> bool:
        """Put if absent, atomically. False if the key was there, which stays as it is.

        A retry after a lost answer can find its own write: on False, compare before calling it a conflict.
        """
        path = self._path(key)
        return self._attempt("write", key, lambda: self._writer.create(path, data))

    def write(self, key: str, data: bytes) -> None:
        """Put, replacing what was there atomically."""
        path = self._path(key)
        self._attempt("write", key, lambda: self._writer.replace(path, data))

    def exists(self, key: str) -> bool:
        """Whether there is a file under the key. A folder is none."""
        return self._file_size(key) is not None

    def size(self, key: str) -> int:
        """Bytes under a key.

        Raises:
            FileNotFoundError: there is no such key.
        """
        size = self._file_size(key)
        if size is None:
            raise FileNotFoundError(self._path(key))
        return size

    def delete(self, prefix: str) -> None:
        """Delete a key, or a folder with all that is in it. Nothing there is no error."""
        path = self._path(prefix)
        try:
            self._attempt("delete", prefix, lambda: self._fs.rm(path, recursive=True))
        except FileNotFoundError:
            return

    def folders(self, prefix: str) -> list[str]:
        """Names of the folders in a folder, sorted. As little to be trusted as `list`, and cheaper."""
        path = self._path(prefix)
        try:
            found = self._attempt("list", prefix, lambda: self._fs.ls(path, detail=True))
        except (FileNotFoundError, NotADirectoryError):
            return []
        return sorted(entry["name"].rstrip("/").rsplit("/", 1)[-1] for entry in found if entry["type"] == "directory")

    def list(self, prefix: str) -> list[str]:
        """Keys of the files in a folder and below, sorted. For reports and retention only.

        A listing may lag behind on an object store: the newest version is what a pointer names.
        """
        path = self._path(prefix)
        found: list[str] = self._attempt("list", prefix, lambda: self._fs.find(path))
        return sorted(name.removeprefix(f"{self._root}/") for name in found if not is_scratch(name.rsplit("/", 1)[-1]))

    def local(self, key: str) -> Path | None:
        """Path of a key, whether or not it is there, if the store is a folder; else None."""
        path = self._path(key)
        return Path(path) if isinstance(self._writer, FileWriter) else None

    def upload(self, source: Path, key: str, *, link: bool = False) -> None:
        """Put a local file, replacing what was there by a new inode.

        Args:
            source: the file.
            key: where to put it.
            link: let a file store on the same file system share the file instead of copying it. The caller
                must not write to `source` again.
        """
        path = self._path(key)
        self._attempt("write", key, lambda: self._writer.put(path, source, link=link))

    def download(self, key: str, target: Path) -> None:
        """Copy a key to a local file.

        Raises:
            FileNotFoundError: there is no such key.
        """
        path = self._path(key)
        self._attempt("read", key, lambda: self._fs.get_file(path, str(target)))

    def read_pointer(self, key: str) -> ArtifactRef | None:
        """The version that a pointer names, or None before the first.

        Raises:
            AnceError: the pointer cannot be read as one.
        """
        try:
            data = self.read(key)
        except FileNotFoundError:
            return None
        return parse_pointer(data, self._named(key))

    def move_pointer(self, key: str, ref: ArtifactRef) -> bool:
        """Compare and swap: let a pointer name `ref`, unless it already names something newer.

        Returns:
            Whether the pointer names `ref` now. False: it names a newer step, or other content of the same
            step, published under the same lease.

        Raises:
            StaleFencingToken: the pointer was last moved under a newer lease than that of `ref`.
        """
        path = self._path(key)
        names_ref = False

        def change(data: bytes | None) -> bytes | None:
            nonlocal names_ref
            if data is not None:
                present = parse_pointer(data, self._named(key))
                if not supersedes(ref, present, self._named(key)):
                    names_ref = same_artifact(ref, present)
                    return None
            names_ref = True
            return ref.model_dump_json(indent=1).encode()

        self._attempt("move pointer", key, lambda: self._writer.swap(path, change))
        return names_ref

    def _file_size(self, key: str) -> int | None:
        path, head = self._path(key), self._backend.head
        try:
            if head is not None:
                return self._attempt("look up", key, lambda: head(path))
            # Not fs.exists: its default takes every error, an outage too, for "not there".
            info = self._attempt("look up", key, lambda: self._fs.info(path))
        except FileNotFoundError:
            return None
        return int(info["size"]) if info["type"] == "file" else None

    def _path(self, key: str) -> str:
        parts = PurePosixPath(key).parts
        if not parts or key.startswith("/") or ".." in parts or "\\" in key or "\0" in key:
            raise AnceError(f"store {self.url}: key {key!r} must be a relative path that stays inside the store")
        return "/".join((self._root, *parts))

    def _named(self, key: str) -> str:
        return f"store {self.url}: {key}"

    def _attempt(self, doing: str, key: str, operation: Callable[[], T]) -> T:
        def asked() -> T:
            try:
                return operation()
            except AnceError:
                raise
            except Exception as error:  # each library has its own kinds, some of them OSErrors without a number
                meaning = self._backend.translate(error)
                if meaning is None:
                    raise
                raise meaning from error

        try:
            return retrying(asked, f"{doing} {key}", seconds=self._retry_seconds, wait=self._wait)
        except FileNotFoundError:
            raise
        except OSError as error:
            failed = f"store {self.url}: could not {doing} {key}"
            if is_transient(error):
                raise TemporaryError(f"{failed}: unreachable, gave up: {error}") from error
            raise AnceError(f"{failed}: {error}") from error
