"""Fetch: an artifact as a verified local folder."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from ance.errors import AnceError
from ance.runtime.artifacts.cache import cache_at
from ance.runtime.artifacts.manifests import LoadedManifest, check_local, inside, load_manifest
from ance.runtime.contracts import ArtifactRef, FileEntry
from ance.runtime.layout import MANIFEST, manifest_of
from ance.runtime.store import Store

Prefixes = str | tuple[str, ...]


def fetch(
    store: Store,
    source: ArtifactRef | str,
    cache: Path,
    *,
    verify: bool = True,
    only: Prefixes = "",
    skip: Prefixes = (),
) -> Path:
    """A local folder with the files of an artifact, each checked against the manifest.

    A file store's own folder is checked where it is; other stores are downloaded into the cache once.

    Args:
        store: where from.
        source: the artifact, or its folder in the store.
        cache: local folder for downloads, see `ance.runtime.artifacts.cache`.
        verify: compare hashes too, not just sizes. A download always does.
        only: take files whose path begins so.
        skip: of these, leave out files whose path begins so.

    Returns:
        The folder. Its files are shared with other readers: never write to them.

    Raises:
        ArtifactNotFound: nothing is published there.
        CorruptArtifact: the manifest is not the expected one, or a file differs from it.
        AnceError: no file is selected, or the cache is too small.
    """
    uri, expected = _manifest_of(source)
    loaded = load_manifest(store, uri, expected)
    prefix = uri.removesuffix(f"/{MANIFEST}")
    entries = [e for e in loaded.manifest.files if e.path.startswith(only) and not e.path.startswith(skip)]
    if not entries:
        raise AnceError(f"{uri}: lists no file that begins with {only!r} and not with {skip!r}")
    folder = store.local(prefix)
    if folder is None:
        return _downloaded(store, prefix, loaded, entries, cache)
    for entry in entries:
        check_local(entry, inside(folder, entry.path), hashed=verify)
    return folder


def _manifest_of(source: ArtifactRef | str) -> tuple[str, str | None]:
    if isinstance(source, ArtifactRef):
        return source.manifest_uri, source.manifest_sha256
    return manifest_of(source), None


def _downloaded(store: Store, prefix: str, loaded: LoadedManifest, entries: Sequence[FileEntry], cache: Path) -> Path:
    def fill(folder: Path) -> None:
        for entry in entries:
            path = folder / entry.path
            path.parent.mkdir(parents=True, exist_ok=True)
            store.download(f"{prefix}/{entry.path}", path)
            check_local(entry, path)

    slot, selection = _slot(loaded, entries)
    # Versions of one kind follow each other in one role; a part of the files is a role of its own.
    role = f"{prefix.rpartition('/')[0]} {selection}"
    return cache_at(cache.absolute()).get(slot, role, sum(entry.size for entry in entries), fill)


def _slot(loaded: LoadedManifest, entries: Sequence[FileEntry]) -> tuple[str, str]:
    """Name in the cache: the manifest's hash, and for a part of the files the hash of their paths as well."""
    if len(entries) == len(loaded.manifest.files):
        return loaded.sha256, ""
    paths = "\n".join(entry.path for entry in entries)
    selection = hashlib.sha256(paths.encode()).hexdigest()[:16]
    return f"{loaded.sha256}-{selection}", selection
