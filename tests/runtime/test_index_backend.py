"""What every backend does alike: the same vectors, the same answers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ance.errors import AnceError
from ance.retrieval.config import IndexConfig
from ance.retrieval.interfaces import SearchableIndex
from ance.runtime.index_backend import IndexBackend, faiss_device, index_backend
from ance.runtime.layout import RunLayout
from ance.runtime.milvus.settings import MilvusSettings
from ance.runtime.store import Store
from tests.milvus_server import MilvusServer, milvus_server
from tests.runtime.conftest import wait_until

__all__ = ["milvus_server"]

DIM, PASSAGES = 16, 300

NewBackend = Callable[..., IndexBackend]


@pytest.fixture(params=["faiss", "milvus"])
def new_backend(request: pytest.FixtureRequest, tmp_path: Path) -> NewBackend:
    """Makes the backend of a run from settings of its index."""
    settings = MilvusSettings()
    if request.param == "milvus":
        server: MilvusServer = request.getfixturevalue("milvus_server")
        settings = server.settings()
    store = Store.open(f"file://{tmp_path / 'store'}", create=True)

    def make(**config: object) -> IndexBackend:
        parsed = IndexConfig.model_validate({"backend": request.param, **config})
        return index_backend(parsed, settings, store, RunLayout(f"contract-{tmp_path.name}"))

    return make


@pytest.fixture
def vectors() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((PASSAGES, DIM), np.float32)


def build(backend: IndexBackend, vectors: np.ndarray, folder: Path) -> SearchableIndex:
    """Built from shards of 70 in any order."""
    builder = backend.build(vectors.shape[1], step=3, token=1)
    for start in np.random.default_rng(1).permutation(np.arange(0, len(vectors), 70)):
        rows = np.arange(start, min(start + 70, len(vectors)))
        builder.add(vectors[rows], rows)
    builder.finish(folder)
    return backend.open(folder)


def exact(vectors: np.ndarray, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    scores = queries @ vectors.T
    rows = np.argsort(-scores, axis=1)[:, :k]
    return rows, np.take_along_axis(scores, rows, axis=1)


def test_a_flat_index_finds_what_exact_search_finds(
    new_backend: NewBackend, vectors: np.ndarray, tmp_path: Path
) -> None:
    index = build(new_backend(), vectors, tmp_path / "index")
    queries = np.random.default_rng(2).standard_normal((600, DIM), np.float32)
    rows, scores = index.search(queries, 10)
    expected_rows, expected_scores = exact(vectors, queries, 10)
    assert (index.size, index.dim) == (PASSAGES, DIM)
    assert (rows.dtype, scores.dtype) == (np.int64, np.float32)
    np.testing.assert_array_equal(rows, expected_rows)
    np.testing.assert_allclose(scores, expected_scores, atol=1e-5)


def test_only_allowed_passages_are_found_and_the_rest_is_padding(
    new_backend: NewBackend, vectors: np.ndarray, tmp_path: Path
) -> None:
    index = build(new_backend(), vectors, tmp_path / "index")
    queries = vectors[:3]
    for count in (0, 4, 290, PASSAGES):
        allowed = np.random.default_rng(count).permutation(PASSAGES) < count
        rows, scores = index.search(queries, 12, allowed)
        k = min(12, count)
        found = np.flatnonzero(allowed)
        expected_rows, expected_scores = exact(vectors[allowed], queries, k)
        np.testing.assert_array_equal(rows[:, :k], found[expected_rows] if count else rows[:, :0])
        np.testing.assert_allclose(scores[:, :k], expected_scores, atol=1e-5)
        assert (rows[:, k:] == -1).all() and np.isneginf(scores[:, k:]).all()


def test_more_than_there_is_gives_all_there_is(new_backend: NewBackend, vectors: np.ndarray, tmp_path: Path) -> None:
    index = build(new_backend(), vectors[:6], tmp_path / "index")
    rows, scores = index.search(vectors[:2], 100)
    assert rows.shape == scores.shape == (2, 6)
    np.testing.assert_array_equal(np.sort(rows, axis=1), np.tile(np.arange(6), (2, 1)))
    assert index.search(vectors[:2], 0)[0].shape == (2, 0)


def test_an_index_answers_before_it_is_finished_as_it_does_afterwards(
    new_backend: NewBackend, vectors: np.ndarray, tmp_path: Path
) -> None:
    backend = new_backend()
    builder = backend.build(DIM, step=3, token=1)
    builder.add(vectors, np.arange(PASSAGES))
    before = builder.search(vectors[:5], 7)
    builder.finish(tmp_path)
    after = backend.open(tmp_path).search(vectors[:5], 7)
    np.testing.assert_array_equal(before[0], after[0])
    np.testing.assert_array_equal(before[1], after[1])


def test_vectors_without_their_rows_are_a_mistake_of_the_caller(new_backend: NewBackend, vectors: np.ndarray) -> None:
    builder = new_backend().build(DIM, step=3, token=1)
    with pytest.raises(ValueError, match="300 vectors came with 2 ids"):
        builder.add(vectors, np.arange(2))


def test_what_names_no_index_is_an_error_that_names_the_key(new_backend: NewBackend) -> None:
    with pytest.raises(AnceError, match=r"index\.factory 'no such index'"):
        new_backend(factory="no such index").build(DIM, step=3, token=1)


def test_a_folder_without_an_index_cannot_be_opened(new_backend: NewBackend, tmp_path: Path) -> None:
    with pytest.raises(AnceError, match=str(tmp_path)):
        new_backend().open(tmp_path)


def test_an_approximate_index_is_searched_with_the_parameters_of_the_run(
    new_backend: NewBackend, vectors: np.ndarray, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    # Milvus Lite has 128 lists, whatever it is told.
    factory = {"milvus": "IVF_FLAT,nlist=128", "faiss": "IVF128,Flat"}[request.node.callspec.params["new_backend"]]
    expected, _ = exact(vectors, vectors, 10)

    def recall(index: SearchableIndex) -> float:
        rows, _ = index.search(vectors, 10)
        return float(np.mean([len({*found} & {*best}) / 10 for found, best in zip(rows, expected, strict=True)]))

    few, all_lists = (
        new_backend(factory=factory, parameters={"nprobe": nprobe}, training_vectors=PASSAGES) for nprobe in (1, 128)
    )
    searched = build(few, vectors, tmp_path / "few")
    # Milvus Lite merges segments beside searches, and goes without an index through one that it has just merged.
    assert wait_until(lambda: recall(searched) < 0.8)
    assert recall(build(all_lists, vectors, tmp_path / "all")) == 1.0


@pytest.mark.parametrize(("device", "gpus", "expected"), [("cpu", 1, "cpu"), ("cuda", 0, "cpu"), ("cuda:0", 1, "cuda")])
def test_faiss_searches_on_the_gpu_of_the_encoder_where_it_can(
    device: str, gpus: int, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ance.retrieval.gpu.gpus", lambda: gpus)
    assert faiss_device(device) == expected
