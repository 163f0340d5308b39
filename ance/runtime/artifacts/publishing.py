"""Publish: files first, the manifest last, then the pointer."""

from __future__ import annotations

import hashlib
import logging
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ance.errors import AnceError
from ance.runtime.artifacts.manifests import (
    ArtifactNotFound,
    check_size,
    load_manifest,
    local_entry,
    ref_to,
)
from ance.runtime.contracts import ArtifactRef, FileEntry, Kind, Manifest
from ance.runtime.layout import MANIFEST, manifest_of
from ance.runtime.store import StaleFencingToken, Store
from ance.runtime.tracing import current_traceparent, span

logger = logging.getLogger(__name__)


def publish(
    store: Store,
    prefix: str,
    folder: Path,
    *,
    kind: Kind,
    run_id: str = "",
    step: int = 0,
    fencing_token: int = 0,
    parents: Mapping[str, str] | None = None,
    config_sha256: str = "",
    stats: Mapping[str, Any] | None = None,
    pointer: str | None = None,
    final: bool = False,
    keep_staging: bool = False,
    stored: Sequence[FileEntry] = (),
) -> ArtifactRef:
    """Put a staged folder into the store as a whole, and let a pointer name it.

    Publishing the same files again changes nothing. Other files under the same prefix replace what is there
    only with a higher fencing token, as of a publisher that was restarted and does a step again.

    Args:
        store: where to.
        prefix: the artifact's folder in the store.
        folder: local folder of the files. It is gone when this returns: a file store takes them over.
        kind: what the artifact is.
        run_id: empty for a data set.
        step: of the checkpoint that the artifact is, or comes from.
        fencing_token: of the lease under which the caller publishes.
        parents: role -> sha256 of the parent's manifest.
        config_sha256: of the run's configuration.
        stats: figures to keep in the manifest.
        pointer: key of the pointer to move. It stays if it names a newer step.
        final: the run ends with this step.
        keep_staging: copy the files and leave the folder as it is.
        stored: further files of the artifact, which are under the prefix already.

    Raises:
        StaleFencingToken: a publisher with a newer lease was here first, or one with this lease that
            published other files.
        AnceError: the folder has no files, or one that is called like the manifest.
    """
    staged = _staged(folder)
    entries = [*staged, *stored]
    _refuse_stale(store, pointer, fencing_token)
    if _present(store, prefix, entries, fencing_token) is None:
        with span("upload", artifact=kind.value, step=step, bytes=sum(entry.size for entry in staged)):
            for entry in staged:
                store.upload(folder / entry.path, f"{prefix}/{entry.path}", link=not keep_staging)
    ref = publish_existing(
        store,
        prefix,
        entries,
        kind=kind,
        run_id=run_id,
        step=step,
        fencing_token=fencing_token,
        parents=parents,
        config_sha256=config_sha256,
        stats=stats,
        pointer=pointer,
        final=final,
    )
    if not keep_staging:
        shutil.rmtree(folder)
    return ref


def publish_existing(
    store: Store,
    prefix: str,
    entries: Sequence[FileEntry],
    *,
    kind: Kind,
    run_id: str = "",
    step: int = 0,
    fencing_token: int = 0,
    parents: Mapping[str, str] | None = None,
    config_sha256: str = "",
    stats: Mapping[str, Any] | None = None,
    pointer: str | None = None,
    final: bool = False,
) -> ArtifactRef:
    """As `publish`, of files that are in the store already, such as the shards that inferencers have written.

    Raises:
        CorruptArtifact: the file of an entry is missing or has another size.
        StaleFencingToken: as `publish`.
    """
    _refuse_stale(store, pointer, fencing_token)
    for entry in entries:
        key = f"{prefix}/{entry.path}"
        check_size(entry, key, store.size(key) if store.exists(key) else None)
    with span("publish", artifact=kind.value, step=step):
        manifest = Manifest(
            kind=kind,
            run_id=run_id,
            step=step,
            created_at=time.time(),
            fencing_token=fencing_token,
            parents=dict(parents or {}),
            config_sha256=config_sha256,
            files=tuple(sorted(entries, key=lambda entry: entry.path)),
            stats=dict(stats or {}),
            traceparent=current_traceparent(),
        )
        ref = _write_manifest(store, prefix, manifest, final)
        if pointer is not None and not store.move_pointer(pointer, ref):
            logger.warning("%s stays: it names a newer step than %d, just published", pointer, step)
    return ref


def _staged(folder: Path) -> list[FileEntry]:
    entries = [local_entry(folder, path) for path in sorted(folder.rglob("*")) if path.is_file()]
    if not entries:
        raise AnceError(f"{folder}: no files to publish")
    if any(entry.path == MANIFEST for entry in entries):
        raise AnceError(f"{folder}: has a {MANIFEST}, which publishing writes itself: remove or rename it")
    return entries


def _refuse_stale(store: Store, pointer: str | None, fencing_token: int) -> None:
    """Before anything is written: moving the pointer would refuse, but only after a long upload."""
    present = store.read_pointer(pointer) if pointer is not None else None
    if present is not None and fencing_token < present.fencing_token:
        raise StaleFencingToken(
            f"{pointer} was moved under fencing token {present.fencing_token}: "
            f"publishing under the older token {fencing_token} is refused"
        )


def _present(store: Store, prefix: str, entries: Sequence[FileEntry], fencing_token: int) -> ArtifactRef | None:
    """What is published under a prefix, if it has the same files. What our lease supersedes is withdrawn.

    Raises:
        StaleFencingToken: other files are published there, and our lease is not newer.
    """
    uri = manifest_of(prefix)
    try:
        manifest, sha256 = load_manifest(store, uri)
    except ArtifactNotFound:
        return None
    if set(manifest.files) == set(entries):
        ref = ref_to(manifest, uri, sha256)
        return ref.model_copy(update={"fencing_token": max(ref.fencing_token, fencing_token)})
    if fencing_token <= manifest.fencing_token:
        raise StaleFencingToken(
            f"{uri}: other files are published there under fencing token {manifest.fencing_token}, "
            f"token {fencing_token} cannot replace them: use another name, or delete {prefix} first"
        )
    logger.warning("%s: replacing what was published under fencing token %d", prefix, manifest.fencing_token)
    # First of all, so that no reader holds new files against the old manifest.
    store.delete(uri)
    return None


def _write_manifest(store: Store, prefix: str, manifest: Manifest, final: bool) -> ArtifactRef:
    uri, data = manifest_of(prefix), manifest.to_bytes()
    while True:
        present = _present(store, prefix, manifest.files, manifest.fencing_token)
        if present is not None:
            return present.model_copy(update={"final": final})
        if store.write_new(uri, data):
            return ref_to(manifest, uri, hashlib.sha256(data).hexdigest(), final=final)
