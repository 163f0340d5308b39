"""Writing a version into Milvus while it comes and goes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ance.errors import AnceError
from ance.runtime.milvus import builder as builder_module
from ance.runtime.milvus.builder import MilvusIndexBuilder
from ance.runtime.milvus.engine import Milvus
from ance.runtime.milvus.errors import MilvusAway
from ance.runtime.milvus.index import MilvusIndex
from ance.runtime.milvus.kind import IndexKind
from tests.milvus_server import MilvusServer

DIM = 8
VECTORS = np.random.default_rng(0).standard_normal((100, DIM), np.float32)
ROWS = np.arange(100)


def begin(milvus: Milvus, name: str, **changes: Any) -> MilvusIndexBuilder:
    settings: dict[str, Any] = {"patience": 10.0, "staleness": 0.0, **changes}
    return MilvusIndexBuilder(milvus, name, DIM, IndexKind(index_type="FLAT"), **settings)


def test_what_is_published_is_a_few_lines_that_name_the_collection(milvus: Milvus, tmp_path: Path) -> None:
    builder = begin(milvus, "recorded")
    builder.add(VECTORS, ROWS)
    builder.finish(tmp_path / "index")
    assert [path.name for path in (tmp_path / "index").iterdir()] == ["milvus.json"]
    assert json.loads((tmp_path / "index" / "milvus.json").read_text()) == {
        "collection": "recorded",
        "metric": "IP",
        "dim": DIM,
        "count": 100,
        "passages": 100,
        "most": 1,
        "kind": {"index_type": "FLAT", "build": {}, "search": {}},
    }


def test_a_shard_travels_in_requests_of_bounded_size(
    milvus: Milvus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = []
    put = milvus.put

    def counted(name: str, keys: np.ndarray, ids: np.ndarray, vectors: np.ndarray) -> None:
        sizes.append(vectors.nbytes)
        put(name, keys, ids, vectors)

    monkeypatch.setattr(milvus, "put", counted)
    monkeypatch.setattr(builder_module, "BYTES_A_REQUEST", 30 * DIM * 4)
    builder = begin(milvus, "bounded")
    builder.add(VECTORS, ROWS)
    builder.finish(tmp_path)
    assert sizes == [960, 960, 960, 320]
    assert MilvusIndex.open(milvus, tmp_path).size == 100


def test_an_outage_in_the_middle_is_outlasted(
    mortal_milvus: MilvusServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    milvus = Milvus(mortal_milvus.settings(milvus_timeout_seconds=0.5))

    pauses = []

    def back_after_two(seconds: float) -> bool:
        pauses.append(seconds)
        if len(pauses) == 2:
            mortal_milvus.start()
        return False

    builder = begin(milvus, "outlasted", wait=back_after_two)
    builder.add(VECTORS[:50], ROWS[:50])
    mortal_milvus.stop()
    builder.add(VECTORS[50:], ROWS[50:])
    builder.finish(tmp_path)
    patient = Milvus(mortal_milvus.settings())  # a server that has just started may take longer than half a second
    rows, _ = MilvusIndex.open(patient, tmp_path).search(VECTORS, 1)
    np.testing.assert_array_equal(rows[:, 0], (VECTORS @ VECTORS.T).argmax(axis=1))
    warnings = [record.message for record in caplog.records if record.name.startswith("ance")]
    assert len(warnings) == len(pauses) >= 2
    assert all(warning.startswith("trying again in") for warning in warnings)


@pytest.mark.parametrize(("patience", "gives_up"), [(0.0, False), (60.0, True)])
def test_patience_ends_with_its_time_or_with_the_process(
    mortal_milvus: MilvusServer, patience: float, gives_up: bool
) -> None:
    milvus = Milvus(mortal_milvus.settings(milvus_timeout_seconds=0.3))
    builder = begin(milvus, "given_up", patience=patience, wait=lambda seconds: gives_up)
    mortal_milvus.stop()
    try:
        with pytest.raises(MilvusAway):
            builder.add(VECTORS, ROWS)
    finally:
        mortal_milvus.start()


def test_a_collection_that_lost_rows_is_not_published(milvus: Milvus, tmp_path: Path) -> None:
    builder = begin(milvus, "short_of_rows")
    builder.add(VECTORS[:60], ROWS[:60])
    builder.add(VECTORS[:40], ROWS[:40])  # 100 were added, 40 of them to the same rows
    with pytest.raises(AnceError, match="short_of_rows of Milvus holds 60 rows instead of 100"):
        builder.finish(tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_version_is_not_published_before_a_stale_reader_sees_all_of_it(
    milvus: Milvus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []
    monkeypatch.setattr("ance.runtime.milvus.builder.time.sleep", slept.append)
    builder = begin(milvus, "seen", staleness=30.0)
    builder.add(VECTORS, ROWS)
    builder.finish(tmp_path)
    assert 25 < sum(slept) <= 30


def test_a_sealed_collection_takes_no_more(milvus: Milvus) -> None:
    builder = begin(milvus, "sealed")
    builder.add(VECTORS, ROWS)
    builder.search(VECTORS[:1], 1)
    with pytest.raises(ValueError, match="sealed is sealed"):
        builder.add(VECTORS, ROWS + 100)


def test_a_passage_with_several_vectors_is_found_once_by_its_best(milvus: Milvus, tmp_path: Path) -> None:
    rows = np.repeat(np.arange(30), np.arange(30) % 4 + 1)
    vectors = VECTORS[: len(rows)]
    builder = begin(milvus, "chunks")
    middle = int(np.searchsorted(rows, 13))
    builder.add(vectors[middle:], rows[middle:])
    builder.add(vectors[:middle], rows[:middle])
    builder.finish(tmp_path)
    index = MilvusIndex.open(milvus, tmp_path)
    queries = VECTORS[:5] + 1
    products = queries @ vectors.T
    best = np.stack([products[:, rows == row].max(1) for row in range(30)], axis=1)
    for k in (1, 7, 30, 99):
        found, scores = index.search(queries, k)
        np.testing.assert_array_equal(found, np.argsort(-best, axis=1)[:, :k])
        np.testing.assert_allclose(scores, -np.sort(-best, axis=1)[:, :k], rtol=1e-5)
    allowed = np.zeros(30, np.bool_)
    allowed[[2, 3]] = True
    found, _ = index.search(queries, 3, allowed)
    assert [sorted(line) for line in found.tolist()] == [[-1, 2, 3]] * 5
