"""What is opened must be what was published."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ance.errors import AnceError, TemporaryError
from ance.runtime.milvus.engine import Milvus
from ance.runtime.milvus.errors import MilvusAway
from ance.runtime.milvus.index import MilvusIndex
from ance.runtime.milvus.kind import IndexKind
from ance.runtime.milvus.record import RECORD_FILE, MilvusRecord
from tests.milvus_server import MilvusServer

FLAT = IndexKind(index_type="FLAT")
VECTORS = np.eye(4, dtype=np.float32)


def published(milvus: Milvus, folder: Path, name: str, **claims: int) -> MilvusIndex:
    """Four vectors of length 4, opened by a record with other claims."""
    milvus.create(name, 4, FLAT)
    milvus.put(name, np.arange(4), np.arange(4), VECTORS)
    milvus.seal(name)
    truth = {"collection": name, "dim": 4, "count": 4, "passages": 4, "most": 1, "kind": FLAT}
    MilvusRecord.model_validate(truth | claims).write(folder)
    return MilvusIndex.open(milvus, folder)


def test_a_collection_that_is_gone_or_other_than_published_is_refused_for_good(milvus: Milvus, tmp_path: Path) -> None:
    for name, claims, problem in (
        ("fewer", {"count": 5}, "fewer of Milvus holds 4 rows instead of 5"),
        ("longer", {"dim": 5}, "longer of Milvus has vectors of length 4 instead of 5"),
    ):
        with pytest.raises(AnceError, match=problem) as refused:
            published(milvus, tmp_path, name, **claims)
        assert not isinstance(refused.value, TemporaryError)
    MilvusRecord(collection="gone", dim=4, count=4, passages=4, most=1, kind=FLAT).write(tmp_path)
    with pytest.raises(AnceError, match="gone") as refused:
        MilvusIndex.open(milvus, tmp_path)
    assert not isinstance(refused.value, TemporaryError)


def test_a_damaged_record_is_an_error_that_names_the_file(milvus: Milvus, tmp_path: Path) -> None:
    (tmp_path / RECORD_FILE).write_text('{"collection": "x"}')
    with pytest.raises(AnceError, match=f"{tmp_path}/milvus.json: is no record"):
        MilvusIndex.open(milvus, tmp_path)


def test_an_engine_that_is_away_is_no_fault_of_the_version(mortal_milvus: MilvusServer, tmp_path: Path) -> None:
    milvus = Milvus(mortal_milvus.settings(milvus_timeout_seconds=0.5))
    index = published(milvus, tmp_path, "sound")
    mortal_milvus.stop()
    try:
        with pytest.raises(MilvusAway):
            index.search(VECTORS, 1)
        with pytest.raises(MilvusAway):
            MilvusIndex.open(Milvus(mortal_milvus.settings(milvus_timeout_seconds=0.5)), tmp_path)
    finally:
        mortal_milvus.start()
    patient = Milvus(mortal_milvus.settings())  # a server that has just started may take longer than half a second
    # A collection is not in memory after a restart: whoever opens it loads it.
    assert MilvusIndex.open(patient, tmp_path).search(VECTORS, 1)[0].tolist() == [[0], [1], [2], [3]]


def test_queries_of_another_length_are_refused(milvus: Milvus, tmp_path: Path) -> None:
    index = published(milvus, tmp_path, "of_length_4")
    with pytest.raises(AnceError, match=r"queries of shape \(1, 3\) for an index of 4 dimensions"):
        index.search(np.ones((1, 3), np.float32), 1)
