"""From a published index to a snapshot that may serve: fetch and verify, load, probe."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ance.data.dataset import Dataset
from ance.model.encoding import TextEncoder
from ance.retrieval.index import PassageIndex
from ance.runtime.artifacts import ArtifactNotFound, CorruptArtifact, fetch, read_manifest
from ance.runtime.contracts import ArtifactRef, Manifest, SearchSnapshot
from ance.runtime.run import OpenRun
from ance.runtime.store import Store
from services.search_api.settings import SearchSettings

PROBE_QUERIES = 8
PROBE_DEPTH = 10


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
            # The trainer's state is larger than the model, and answering does not need it.
            checkpoint=fetch(store, checkpoint, cache, skip="trainer_state/"),
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


def load(version: FetchedVersion, run: OpenRun[SearchSettings], documents: Dataset) -> SearchSnapshot:
    """Load the encoder, map the index into memory, and see that they answer.

    Raises:
        RefusedVersion: the files are what was published, but cannot be loaded or are implausible.
    """
    try:
        snapshot = SearchSnapshot(
            step=version.manifest.step,
            encoder=TextEncoder.load(
                version.checkpoint,
                device=run.settings.device,
                dtype=run.config.encoding.dtype,
                token_budget=run.config.encoding.token_budget,
            ),
            index=PassageIndex.open(version.index),
            documents=documents,
            created_at=version.manifest.created_at,
        )
        probe(snapshot, run.config.model.max_query_tokens)
    except RefusedVersion:
        raise
    except Exception as error:  # Torch, Faiss and safetensors each have their own
        raise RefusedVersion(f"it cannot be loaded: {type(error).__name__}: {error}") from error
    return snapshot


def probe(snapshot: SearchSnapshot, max_query_tokens: int) -> None:
    """Answer a few of the data set's own queries: this warms the snapshot, and shows whether it can serve.

    Raises:
        RefusedVersion: empty, of another dimension or corpus, or its vectors or scores are not finite.
    """
    encoder, index, passages = snapshot.encoder, snapshot.index, len(snapshot.documents.passages)
    if not 0 < index.size <= passages:
        raise RefusedVersion(f"the index has {index.size} vectors for {passages} passages")
    if index.dim != encoder.dim:
        raise RefusedVersion(f"the index has {index.dim} dimensions, its encoder {encoder.dim}")
    texts = list(itertools.islice(query_texts(snapshot.documents), PROBE_QUERIES))
    vectors = encoder.encode_texts(texts, max_query_tokens)  # (queries, dim)
    if not np.isfinite(vectors).all():
        raise RefusedVersion("its encoder gives vectors that are not finite")
    rows, scores = index.search(vectors, min(PROBE_DEPTH, index.size))  # (queries, depth) each
    if (rows[:, 0] == -1).any():
        raise RefusedVersion("the index finds nothing for a query, as when its vectors are NaN")
    if not np.isfinite(scores[rows >= 0]).all():
        raise RefusedVersion("the index gives scores that are not finite")
    if (rows >= passages).any() or (rows < -1).any():
        raise RefusedVersion(f"the index answers with other rows than those of the {passages} passages")


def query_texts(dataset: Dataset) -> Iterator[str]:
    """The texts of the data set's queries, split by split."""
    for split in dataset.splits:
        for document in dataset.queries(split).documents:
            yield document["text"]
