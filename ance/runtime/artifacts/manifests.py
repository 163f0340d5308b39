"""Reading manifests and holding files against them."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from pydantic import ValidationError

from ance.errors import AnceError
from ance.runtime.contracts import ArtifactRef, FileEntry, Manifest, describe
from ance.runtime.layout import manifest_of
from ance.runtime.store import Store

MANIFEST_BYTES = 64 << 20
"""Largest manifest that is read, in bytes. A real one has some hundred bytes a file."""


class CorruptArtifact(AnceError):
    """What is stored is not what was published. The message names the file and what differs."""


class ArtifactNotFound(AnceError):
    """There is no manifest, so there is no artifact: never published, or deleted by retention."""


class LoadedManifest(NamedTuple):
    """A manifest and the hash of its stored bytes, which identifies the artifact."""

    manifest: Manifest
    sha256: str


def load_manifest(store: Store, manifest_uri: str, expected_sha256: str | None = None) -> LoadedManifest:
    """The manifest at a key of the store.

    Raises:
        ArtifactNotFound: there is none.
        CorruptArtifact: it is not a manifest, too large, or not the expected one.
    """
    try:
        size = store.size(manifest_uri)
        if size > MANIFEST_BYTES:
            raise CorruptArtifact(f"{manifest_uri}: {size} bytes, no manifest has more than {MANIFEST_BYTES}")
        data = store.read(manifest_uri)
    except FileNotFoundError as error:
        raise ArtifactNotFound(f"{manifest_uri}: nothing is published there in store {store.url}") from error
    sha256 = hashlib.sha256(data).hexdigest()
    if expected_sha256 not in (None, sha256):
        raise CorruptArtifact(
            f"{manifest_uri}: has sha256 {sha256}, expected {expected_sha256}: it was replaced or damaged"
        )
    try:
        return LoadedManifest(Manifest.model_validate_json(data), sha256)
    except ValidationError as error:
        raise CorruptArtifact(f"{manifest_uri}: not a manifest: {describe(error)}") from error


def read_manifest(store: Store, manifest_uri: str, expected_sha256: str | None = None) -> Manifest:
    """As `load_manifest`, without the hash."""
    return load_manifest(store, manifest_uri, expected_sha256).manifest


def published(store: Store, prefix: str) -> ArtifactRef | None:
    """The artifact in a folder of the store, or None if none is published there.

    Raises:
        CorruptArtifact: there is something that is not a manifest.
    """
    uri = manifest_of(prefix)
    try:
        manifest, sha256 = load_manifest(store, uri)
    except ArtifactNotFound:
        return None
    return ref_to(manifest, uri, sha256)


def ref_to(manifest: Manifest, manifest_uri: str, sha256: str, *, final: bool = False) -> ArtifactRef:
    """What names the artifact of a manifest."""
    return ArtifactRef(
        step=manifest.step,
        manifest_uri=manifest_uri,
        manifest_sha256=sha256,
        created_at=manifest.created_at,
        fencing_token=manifest.fencing_token,
        final=final,
        traceparent=manifest.traceparent,
    )


def stored_entry(store: Store, prefix: str, path: str) -> FileEntry:
    """The manifest entry of a file that is in the store, hashed as it is there.

    Raises:
        FileNotFoundError: there is no such file.
    """
    data = store.read(f"{prefix}/{path}")
    return FileEntry(path=path, size=len(data), sha256=hashlib.sha256(data).hexdigest())


def local_entry(folder: Path, path: Path) -> FileEntry:
    """The manifest entry of a local file in a folder."""
    return FileEntry(path=path.relative_to(folder).as_posix(), size=path.stat().st_size, sha256=file_sha256(path))


def check_local(entry: FileEntry, path: Path, *, hashed: bool = True) -> None:
    """Hold a local file against its entry; without `hashed`, by its size alone.

    Raises:
        CorruptArtifact: it is missing, or its size or its bytes differ. Names both hashes.
    """
    check_size(entry, str(path), path.stat().st_size if path.is_file() else None)
    if hashed and (found := file_sha256(path)) != entry.sha256:
        raise CorruptArtifact(f"{path}: has sha256 {found}, its manifest says {entry.sha256}")


def inside(folder: Path, path: str) -> Path:
    """The path of an artifact's file in a local folder, which links must not lead out of.

    Raises:
        CorruptArtifact: one does.
    """
    target = folder / path
    if not target.resolve().is_relative_to(folder.resolve()):
        raise CorruptArtifact(f"{target}: leads out of its artifact's folder, to {target.resolve()}")
    return target


def check_size(entry: FileEntry, where: str, size: int | None) -> None:
    """Hold the size of a file in bytes, None if it is missing, against its entry.

    Raises:
        CorruptArtifact: they differ.
    """
    if size is None:
        raise CorruptArtifact(f"{where}: missing, though its manifest lists it")
    if size != entry.size:
        raise CorruptArtifact(f"{where}: has {size} bytes, its manifest says {entry.size}")


def file_sha256(path: Path) -> str:
    """Hash of a local file, in hexadecimal. Remembered by this process until the file changes."""
    stat = path.stat()
    return _sha256(path, stat.st_ino, stat.st_size, stat.st_mtime_ns)


# An index of hundreds of MB is hashed once a process, not at every fetch.
@lru_cache(maxsize=4096)
def _sha256(path: Path, inode: int, size: int, modified_ns: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
