"""Retention: delete the versions that nobody needs any more.

A plan is made from a listing, which is safe because it only ever removes what is older than something listed. It
is carried out in two phases: a version gets a tombstone, and only a later pass, which finds it still unneeded and
held by nobody, deletes it.
"""

from __future__ import annotations

import json
import logging
import time
from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple, get_args

from ance.runtime.artifacts.manifests import ArtifactNotFound, load_manifest
from ance.runtime.contracts import ArtifactRef, Kind, RunConfig
from ance.runtime.holds import Silent, live_holds, silent_by_the_clock
from ance.runtime.layout import Pointer, RunLayout, manifest_of
from ance.runtime.store import Store

logger = logging.getLogger(__name__)

KINDS = (Kind.CHECKPOINT, Kind.EMBEDDINGS, Kind.INDEX, Kind.NEGATIVES, Kind.RERANKER, Kind.SCORES)
"""What a run has versions of."""
GRACE_SECONDS = 60.0
"""Shortest time between tombstone and deletion, for readers that hold nothing. Those that do are waited for."""


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a kind, as found in the store."""

    kind: Kind
    step: int
    manifest_sha256: str = ""
    """Empty: not published, because its publisher is still at it, or died."""
    parents: frozenset[str] = field(default_factory=frozenset)
    """sha256 of the manifests of its parents."""
    size: int = 0
    """Bytes of its files; 0 where it is not published."""


class Retention(NamedTuple):
    """What a pass of retention did, or would do."""

    deleted: list[Version]
    condemned: list[Version]
    """Not needed, to be deleted by a later pass."""


def plan_retention(
    versions: Iterable[Version],
    *,
    keep: int,
    latest: Collection[ArtifactRef] = (),
    pinned: Collection[int] = (),
    in_use: Collection[int] = (),
    held: Collection[tuple[Kind, int]] = (),
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
        held: single versions that running processes use.
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
        or (version.kind, version.step) in held
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
    grace_seconds: float | None = None,
    dry_run: bool = False,
    silent: Silent = silent_by_the_clock,
) -> Retention:
    """One pass: condemn what is not needed, delete what was condemned before and still is not.

    Args:
        store: of the run.
        layout: of the run.
        keep: as of `plan_retention`, as are `pinned` and `in_use`.
        pinned: see there.
        in_use: see there.
        grace_seconds: shortest time between tombstone and deletion; GRACE_SECONDS by default.
        dry_run: change nothing, and say what would be.
        silent: as of `live_holds`.
    """
    versions = find_versions(store, layout)
    tombstones = {version: _condemned_at(store, layout, version) for version in versions}
    # Only after the listing: what the pointers name by now is either listed, or newer than all that is. Only
    # after the tombstones: whoever takes hold of a version from now on sees its tombstone.
    holds = live_holds(store, layout, forget=not dry_run, silent=silent)
    held = {(version.kind, version.step) for hold in holds for version in hold.versions}
    latest = latest_refs(store, layout)
    plan = plan_retention(versions, keep=keep, latest=latest, pinned=pinned, in_use=in_use, held=held)
    grace = GRACE_SECONDS if grace_seconds is None else grace_seconds
    due = [version for version in plan if _is_due(tombstones[version], grace)]
    condemned = [version for version in plan if version not in due]
    if not dry_run:
        for version in versions:
            if tombstones[version] is not None and version not in plan:
                store.delete(layout.tombstone(version.kind, version.step))
        for version in condemned:
            _condemn(store, layout, version)
        delete_versions(store, layout, due)
    return Retention(due, condemned)


def pinned_steps(config: RunConfig) -> set[int]:
    """Steps whose checkpoints are kept for good: the start, the end of the warm-up, the end."""
    training = config.training
    return {0, training.warmup.steps, training.total_steps}


def _condemned_at(store: Store, layout: RunLayout, version: Version) -> float | None:
    try:
        return float(json.loads(store.read(layout.tombstone(version.kind, version.step)))["at"])
    except FileNotFoundError:
        return None


def _is_due(condemned_at: float | None, grace_seconds: float) -> bool:
    return condemned_at is not None and time.time() - condemned_at >= grace_seconds


def _condemn(store: Store, layout: RunLayout, version: Version) -> None:
    key = layout.tombstone(version.kind, version.step)
    if store.write_new(key, json.dumps({"at": time.time()}).encode()):
        logger.info("to be deleted: %s", layout.version(version.kind, version.step))


def _overtaken(version: Version, published: list[Version]) -> bool:
    return bool(published) and version.step < published[-1].step


def _steps(store: Store, folder: str) -> list[int]:
    """Steps that have a folder. Others, such as the warm-up's negatives, are no versions."""
    return sorted(int(name) for name in store.folders(folder) if name.isdecimal())


def _inspect(store: Store, layout: RunLayout, kind: Kind, step: int) -> Version:
    try:
        manifest, sha256 = load_manifest(store, manifest_of(layout.version(kind, step)))
    except ArtifactNotFound:
        return Version(kind, step)
    size = sum(entry.size for entry in manifest.files)
    return Version(kind, step, sha256, frozenset(manifest.parents.values()), size)
