"""The warm-up's negatives, mined once a run."""

from __future__ import annotations

import numpy as np
import pytest
from redis import Redis

from ance.retrieval.bm25 import BM25
from ance.runtime.artifacts import read_manifest
from ance.runtime.layout import manifest_of
from ance.runtime.lease import RunLease
from ance.runtime.redis.lease import RedisLease
from services.trainer.bm25_negatives import bm25_negatives
from tests.services.conftest import NewRun
from tests.system.tiny import TRAIN


def test_they_are_mined_once_and_read_from_the_store_after_that(
    new_run: NewRun, client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = new_run()
    lease = RunLease(RedisLease(client, f"{run.config.run}/trainer", "test"))
    arguments = (run.store, run.layout, run.config, run.dataset, lease, run.cache)
    mined = bm25_negatives(*arguments)
    assert mined.negatives.shape == (TRAIN, 5)
    assert not (mined.candidates == np.arange(TRAIN)[:, None]).any(), "passage q is the positive of query q"
    assert read_manifest(run.store, manifest_of(run.layout.bm25_negatives)).stats == {"source": "bm25"}

    def refuse(*_: object) -> None:
        raise AssertionError("mined again")

    monkeypatch.setattr(BM25, "build", refuse)
    again = bm25_negatives(*arguments)
    np.testing.assert_array_equal(again.negatives, mined.negatives)
