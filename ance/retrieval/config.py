"""Settings of the passage index."""

from typing import Literal

from pydantic import Field, PositiveFloat, PositiveInt

from ance.config import Section


class IndexConfig(Section):
    """The index that a refresh builds and that the search service serves (inner product)."""

    backend: Literal["faiss", "milvus"] = "faiss"
    """What keeps the index: `faiss` a file that every search replica maps, `milvus` a Milvus cluster (ANCE_MILVUS_URI),
    for a corpus that is larger than one machine."""
    factory: str = "Flat"
    """A Faiss index_factory string, e.g. `Flat`, `HNSW32`, `SQ8`, `IVF4096,PQ96`, `IVF4096,RaBitQ`. In Milvus, a type
    of index and what it is built with, e.g. `Flat`, `AUTOINDEX`, `HNSW,M=16,efConstruction=200`."""
    parameters: dict[str, PositiveFloat] = Field(default_factory=dict)
    """Search-time parameters of the index by the backend's name, e.g. {nprobe: 16} of IVF or {efSearch: 128} of HNSW
    ({ef: 128} in Milvus). They are saved with the index."""
    training_vectors: PositiveInt = 100_000
    """Vectors that a trained Faiss index (IVF, PQ, SQ) is trained on; Milvus decides for itself."""
    probe_queries: PositiveInt = 256
    """Queries whose results are compared with exact search, for the recall in a version's stats."""
