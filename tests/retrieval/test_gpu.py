"""A Faiss index on a GPU; without one, the error that says so."""

from pathlib import Path

import faiss
import numpy as np
import pytest

from ance.errors import AnceError
from ance.retrieval.gpu import gpus, to_gpu
from ance.retrieval.index import IndexBuilder, PassageIndex

needs_gpu = pytest.mark.skipif(gpus() == 0, reason="needs faiss-gpu and a GPU")


@needs_gpu
@pytest.mark.parametrize(("factory", "parameters"), [("Flat", {}), ("IVF8,Flat", {"nprobe": 8})])
def test_a_gpu_finds_what_the_cpu_finds(tmp_path: Path, factory: str, parameters: dict[str, float]) -> None:
    vectors = np.random.default_rng(0).standard_normal((600, 16), np.float32)
    builder = IndexBuilder(factory, 16, 256, parameters)
    builder.add(vectors, np.arange(600))
    builder.finish(tmp_path)
    on_cpu, on_gpu = (PassageIndex.open(tmp_path, device=device).search(vectors[:50], 5) for device in ("cpu", "cuda"))
    np.testing.assert_array_equal(on_gpu[0], on_cpu[0])
    np.testing.assert_allclose(on_gpu[1], on_cpu[1], rtol=1e-4)


@needs_gpu
def test_an_index_that_has_no_gpu_form_is_named() -> None:
    with pytest.raises(AnceError, match="IndexHNSWFlat cannot be put on the GPU"):
        to_gpu(faiss.index_factory(16, "HNSW16", faiss.METRIC_INNER_PRODUCT))


@pytest.mark.skipif(gpus() > 0, reason="this machine has a GPU for Faiss")
def test_without_a_gpu_the_user_is_told_what_is_missing(tmp_path: Path) -> None:
    builder = IndexBuilder("Flat", 16, 256)
    builder.add(np.ones((3, 16), np.float32), np.arange(3))
    builder.finish(tmp_path)
    with pytest.raises(AnceError, match="no GPU for Faiss: install the extra `gpu`"):
        PassageIndex.open(tmp_path, device="cuda")
