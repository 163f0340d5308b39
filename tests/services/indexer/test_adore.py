"""Passes over a corpus whose vectors stay: only queries are encoded again."""

from __future__ import annotations

from collections import Counter

import numpy as np
from redis import Redis

from ance.retrieval.index import PassageIndex
from ance.runtime.artifacts import fetch, published, read_manifest
from ance.runtime.contracts import Kind
from ance.runtime.layout import manifest_of
from ance.runtime.retention import find_versions, latest_refs, plan_retention
from ance.runtime.shutdown import Shutdown
from tests.services.conftest import NewRun
from tests.services.indexer.passes import DIM, Pass
from tests.services.indexer.test_loop import announce, indexer
from tests.services.service_run import background, wait_until
from tests.system.tiny import PASSAGES

ADORE = {"max_async_gap": 0, "ance": {"steps": 60, "learning_rate": 1e-3, "negatives": "adore"}}


def test_each_version_has_the_passages_of_the_first_and_they_are_kept_for_it(
    new_run: NewRun, client: Redis, shutdown: Shutdown
) -> None:
    run = new_run(training=ADORE)
    passes = Pass(run, client, shutdown)
    with indexer(passes) as leader, passes.worker.working(), background(leader.run, stop=lambda: None):
        for step in (20, 25, 80):
            announce(passes, step, final=step == 80)
            wait_until(lambda step=step: published(run.store, run.layout.index(step)) is not None)
    parts = Counter(tuple(task_id.split("/")[1:3]) for task_id in passes.worker.handled)
    assert parts == {(step, "dev_queries"): 1 for step in ("20", "25", "80")} | {("20", "passages"): 6}

    first, last = (PassageIndex.open(fetch(run.store, run.layout.index(step), run.cache)) for step in (20, 80))
    queries = np.random.default_rng(0).standard_normal((5, DIM), np.float32)
    np.testing.assert_array_equal(first.search(queries, PASSAGES)[0], last.search(queries, PASSAGES)[0])

    manifest = read_manifest(run.store, manifest_of(run.layout.embeddings(80)))
    assert [entry.path for entry in manifest.files] == ["dev_queries/0.npy"]
    kept = published(run.store, run.layout.embeddings(20))
    assert kept is not None and manifest.parents["passages"] == kept.manifest_sha256
    plan = plan_retention(find_versions(run.store, run.layout), keep=1, latest=latest_refs(run.store, run.layout))
    assert [(version.kind, version.step) for version in plan if version.kind is Kind.EMBEDDINGS] == [
        (Kind.EMBEDDINGS, 25)
    ]
