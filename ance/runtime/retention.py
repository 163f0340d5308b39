"""Retention: delete the versions that nobody needs any more.

A plan is made from a listing, which is safe because it only ever removes what is older than something listed.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import get_args

from ance.runtime.artifacts.manifests import ArtifactNotFound, load_manifest
from ance.runtime.contracts import ArtifactRef, Kind
from ance.runtime.layout import Pointer, RunLayout, manifest_of
from ance.runtime.store import Store

logger = logging.getLogger(__name__)

KINDS = (Kind.CHECKPOINT, Kind.EMBEDDINGS, Kind.INDEX, Kind.NEGATIVES)
"""What a run has versions of."""


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a kind, as found in the store."""

    kind: Kind
    step: int
    manifest_sha256: str = ""
    """Empty: not published, because its publisher is still at it, or died."""
    parents: frozenset[str] = field(default_factory=frozenset)
    """sha256 of the manifests of its parents."""


def plan_retention(
    versions: Iterable[Version],
    *,
    keep: int,
    latest: Collection[ArtifactRef] = (),
    pinned: Collection[int] = (),
    in_use: Collection[int] = (),
) -> list[Version]:
    """The versions to delete, oldest first.

    What is kept keeps its direct parents: an index is of no use without the checkpoint that encodes its
    queries. Not their parents in turn, because checkpoints and negatives form a chain through the whole run.
    A version that is not published is deleted once a newer one of its kind is: its publisher is gone.

    Args:
        versions: all that there is.
        keep: how many of the newest published to keep of each kind.
        latest: what the `latest` pointers name.
        pinned: steps whose checkpoints are always kept: the start, the warm-up's, the final one.
        in_use: steps of which everything is kept, published or not, such as that of the pass under way.
    """
    versions = sorted(versions, key=lambda version: (version.step, version.kind))
    published: dict[Kind, list[Version]] = defaultdict(list)
    for version in versions:
        if version.manifest_sha256:
            published[version.kind].append(version)
    newest = {version for of_kind in published.values() for version in of_kind[-keep:]}
    named = {ref.manifest_sha256 for ref in latest}
    kept = {
        version
        for version in versions
        if version in newest
        or version.manifest_sha256 in named
        or version.step in in_use
        or (version.kind is Kind.CHECKPOINT and version.step in pinned)
        or (not version.manifest_sha256 and not _overtaken(version, published[version.kind]))
    }
    needed = {sha256 for version in kept for sha256 in version.parents}
    return [version for version in versions if version not in kept and version.manifest_sha256 not in needed]


def find_versions(store: Store, layout: RunLayout) -> list[Version]:
    """All versions of a run that are in the store, published or not.

    Raises:
        CorruptArtifact: a manifest cannot be read; nothing may be deleted before somebody has looked.
    """
    return [_inspect(store, layout, kind, step) for kind in KINDS for step in _steps(store, layout.versions(kind))]


def latest_refs(store: Store, layout: RunLayout) -> list[ArtifactRef]:
    """What the run's pointers name."""
    refs = (store.read_pointer(layout.pointer(name)) for name in get_args(Pointer))
    return [ref for ref in refs if ref is not None]


def delete_versions(store: Store, layout: RunLayout, versions: Iterable[Version]) -> None:
    """Delete versions from the store. Repeating it after a crash finishes the work."""
    for version in versions:
        prefix = layout.version(version.kind, version.step)
        # A reader that sees no manifest sees nothing, so nobody meets half an artifact.
        store.delete(manifest_of(prefix))
        store.delete(prefix)
        logger.info("deleted %s", prefix)


def retain(
    store: Store,
    layout: RunLayout,
    *,
    keep: int,
    pinned: Collection[int] = (),
    in_use: Collection[int] = (),
) -> list[Version]:
    """Plan and delete. The arguments are those of `plan_retention`. Returns what was deleted."""
    versions = find_versions(store, layout)
    # Only after the listing: what the pointers name by now is either listed, or newer than all that is.
    plan = plan_retention(versions, keep=keep, latest=latest_refs(store, layout), pinned=pinned, in_use=in_use)
    delete_versions(store, layout, plan)
    return plan


def _overtaken(version: Version, published: list[Version]) -> bool:
    return bool(published) and version.step < published[-1].step


def _steps(store: Store, folder: str) -> list[int]:
    """Steps that have a folder. Others, such as the warm-up's negatives, are no versions."""
    names = {key.removeprefix(f"{folder}/").split("/", 1)[0] for key in store.list(folder)}
    return sorted(int(name) for name in names if name.isdecimal())


def _inspect(store: Store, layout: RunLayout, kind: Kind, step: int) -> Version:
    try:
        manifest, sha256 = load_manifest(store, manifest_of(layout.version(kind, step)))
    except ArtifactNotFound:
        return Version(kind, step)
    return Version(kind, step, sha256, frozenset(manifest.parents.values()))
