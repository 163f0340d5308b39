"""What must be true after a refresh, whatever has happened on the way."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np

from ance.runtime.artifacts import fetch, published, read_manifest
from ance.runtime.contracts import ArtifactRef, Part
from ance.runtime.shards import rows_of
from services.indexer.plan import plan
from tests.chaos.conftest import STEP
from tests.services.service_run import ServiceRun


def assert_undisturbed(run: ServiceRun, checkpoint: ArtifactRef) -> None:
    """What is published is what a run without any accident publishes, to the bit."""
    tasks = plan(checkpoint, rows_of(run.dataset, run.config, checkpoint.step), run.config)
    manifest = read_manifest(run.store, f"{run.layout.embeddings(STEP)}/manifest.json")
    prefix = f"{run.layout.embeddings(STEP)}/"
    assert sorted(entry.path for entry in manifest.files) == sorted(t.output_uri.removeprefix(prefix) for t in tasks)
    encoder, folder = run.encoder(checkpoint), fetch(run.store, run.layout.embeddings(STEP), run.cache)
    texts = {
        Part.PASSAGES: (run.dataset.passages, run.config.model.max_passage_tokens),
        Part.TRAIN_QUERIES: (run.dataset.queries("train"), run.config.model.max_query_tokens),
        Part.DEV_QUERIES: (run.dataset.queries("dev"), run.config.model.max_query_tokens),
    }
    for task in tasks:
        rows, max_tokens = texts[task.part]
        expected = encoder.encode_rows(rows.tokens, task.start, task.stop, max_tokens)
        np.testing.assert_array_equal(np.load(folder / task.output_uri.removeprefix(prefix)), expected)
    index = run.store.read_pointer(run.layout.pointer("index"))
    assert index is not None and index.final
    assert published(run.store, run.layout.negatives(STEP)) is not None


def longest_pause(embeddings: Path) -> float:
    """Longest time between two shards that followed each other, in seconds."""
    stored = sorted(path.stat().st_mtime for path in embeddings.rglob("*.npy"))
    return max(later - earlier for earlier, later in itertools.pairwise(stored))
