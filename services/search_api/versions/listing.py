"""The versions of the index that are in the store."""

from __future__ import annotations

from ance.runtime.artifacts import ArtifactNotFound, read_manifest
from ance.runtime.contracts import Kind, Manifest
from ance.runtime.layout import MANIFEST
from ance.runtime.run import OpenRun
from services.search_api.settings import SearchSettings


def published_indexes(run: OpenRun[SearchSettings]) -> list[Manifest]:
    """The manifests of all published versions, the newest first.

    Raises:
        AnceError: the store does not answer, or a manifest is damaged.
    """
    folder = run.layout.versions(Kind.INDEX)
    keys = [key for key in run.store.list(folder) if key.endswith(f"/{MANIFEST}")]
    manifests = []
    for key in keys:
        try:
            manifests.append(read_manifest(run.store, key))
        except ArtifactNotFound:  # retention has just deleted it
            continue
    return sorted(manifests, key=lambda manifest: manifest.step, reverse=True)
