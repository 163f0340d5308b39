"""From a published index to a snapshot in memory: fetch and verify, load."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ance.errors import TemporaryError
from ance.runtime.artifacts import ArtifactNotFound, CorruptArtifact, fetch, read_manifest
from ance.runtime.contracts import ArtifactRef, Manifest, SearchSnapshot
from ance.runtime.index_backend import IndexBackend, faiss_device, index_backend
from ance.runtime.layout import TRAINER_STATE
from ance.runtime.run import OpenRun
from ance.runtime.store import Store
from services.search_api.settings import SearchSettings
from services.search_api.versions.late_imports import import_models

if TYPE_CHECKING:
    from ance.data.dataset import Dataset


class RefusedVersion(Exception):
    """A version that must not serve: torn, damaged, unreadable or implausible."""


@dataclass(frozen=True, slots=True)
class FetchedVersion:
    """Verified local folders of what a refresh made. The data set is the run's own and outlives versions."""

    manifest: Manifest
    index: Path
    checkpoint: Path


def fetch_version(run: OpenRun[SearchSettings], ref: ArtifactRef) -> FetchedVersion:
    """Fetch the index that `ref` names and the checkpoint it was made with.

    Raises:
        RefusedVersion: what was published is gone or damaged, or index and checkpoint do not match.
        AnceError: the store does not answer.
    """
    store, cache = run.store, run.settings.cache_dir
    try:
        manifest = read_manifest(store, ref.manifest_uri, expected_sha256=ref.manifest_sha256)
        checkpoint = checkpoint_of(store, manifest)
        if manifest.stats.get("dataset") != run.config.dataset:
            raise RefusedVersion(
                f"index of data set {manifest.stats.get('dataset')}, but the run's is {run.config.dataset}"
            )
        if checkpoint.step != manifest.step:
            raise RefusedVersion(f"index of step {manifest.step}, but checkpoint of step {checkpoint.step}")
        return FetchedVersion(
            manifest,
            index=fetch(store, ref, cache),
            checkpoint=fetch(store, checkpoint, cache, skip=f"{TRAINER_STATE}/"),
        )
    except (CorruptArtifact, ArtifactNotFound, FileNotFoundError) as error:
        raise RefusedVersion(str(error)) from error


def checkpoint_of(store: Store, index: Manifest) -> ArtifactRef:
    """The checkpoint whose vectors are in an index.

    Raises:
        RefusedVersion: the index does not name one.
        CorruptArtifact, ArtifactNotFound: it is not in the store as it was.
    """
    try:
        uri, sha256 = (index.stats["checkpoint"][key] for key in ("manifest_uri", "manifest_sha256"))
    except (KeyError, TypeError) as error:
        raise RefusedVersion("the index does not name its checkpoint") from error
    checkpoint = read_manifest(store, uri, expected_sha256=sha256)
    return ArtifactRef(step=checkpoint.step, manifest_uri=uri, manifest_sha256=sha256, created_at=checkpoint.created_at)


def backend_of(run: OpenRun[SearchSettings]) -> IndexBackend:
    """What keeps the run's indexes.

    Raises:
        AnceError: the settings do not say how to reach it.
    """
    settings = run.settings
    return index_backend(run.config.index, settings, run.store, run.layout, device=faiss_device(settings.device))


def load(
    version: FetchedVersion,
    run: OpenRun[SearchSettings],
    documents: Dataset,
    backend: IndexBackend,
    present: SearchSnapshot | None = None,
) -> SearchSnapshot:
    """Load the encoder and open the index: a file is mapped into memory.

    Args:
        present: the version that is served meanwhile; what does not change from version to version is taken from it.

    Raises:
        RefusedVersion: the files are what was published, but cannot be loaded.
        TemporaryError: the engine that keeps the index does not answer.
    """
    import_models()
    from ance.model.encoding import TextEncoder

    try:
        return SearchSnapshot(
            step=version.manifest.step,
            encoder=TextEncoder.load(
                version.checkpoint,
                device=run.settings.device,
                dtype=run.config.encoding.dtype,
                token_budget=run.config.encoding.token_budget,
                like=None if present is None else present.encoder,
            ),
            index=backend.open(version.index),
            documents=documents,
            created_at=version.manifest.created_at,
        )
    except TemporaryError:  # no fault of the version
        raise
    except Exception as error:  # Torch, Faiss and safetensors each have their own
        raise RefusedVersion(f"it cannot be loaded: {type(error).__name__}: {error}") from error
