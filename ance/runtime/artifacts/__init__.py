"""Artifacts: folders of the store that are there as a whole or not at all.

Publishing puts every file, then the manifest with their sizes and hashes, then moves the pointer. Nobody
trusts a file that no manifest lists, so a publisher that dies half-way leaves nothing that a reader can see.
"""

from ance.runtime.artifacts.fetching import fetch
from ance.runtime.artifacts.manifests import (
    ArtifactNotFound,
    CorruptArtifact,
    published,
    read_manifest,
    stored_entry,
)
from ance.runtime.artifacts.publishing import publish, publish_existing

__all__ = [
    "ArtifactNotFound",
    "CorruptArtifact",
    "fetch",
    "publish",
    "publish_existing",
    "published",
    "read_manifest",
    "stored_entry",
]
