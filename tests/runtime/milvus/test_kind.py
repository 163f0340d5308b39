"""The same two settings name an index in Milvus."""

from __future__ import annotations

import pytest

from ance.errors import AnceError
from ance.retrieval.config import IndexConfig
from ance.runtime.milvus.kind import IndexKind, parse_kind


def test_a_type_comes_with_what_it_is_built_and_searched_with() -> None:
    kind = parse_kind("hnsw,M=16,efConstruction=200", {"ef": 128.0})
    assert kind == IndexKind(index_type="HNSW", build={"M": 16, "efConstruction": 200}, search={"ef": 128})
    assert isinstance(kind.search["ef"], int)
    assert parse_kind("IVF_RABITQ,nlist=64,refine=true", {"k": 1.5}).model_dump() == {
        "index_type": "IVF_RABITQ",
        "build": {"nlist": 64, "refine": "true"},
        "search": {"k": 1.5},
    }


def test_the_default_of_faiss_is_exact_search_in_milvus_too() -> None:
    config = IndexConfig(backend="milvus")
    assert parse_kind(config.factory, config.parameters) == IndexKind(index_type="FLAT")


@pytest.mark.parametrize("factory", ["IVF4096,PQ96", "", "HNSW;M=16", "HNSW,M="])
def test_what_only_faiss_understands_is_an_error_that_shows_the_other_spelling(factory: str) -> None:
    with pytest.raises(AnceError, match=r"index\.factory '.*': with index\.backend milvus.*HNSW,M=16"):
        parse_kind(factory, {})
