"""Settings of the passage index."""

from pydantic import Field, PositiveFloat, PositiveInt

from ance.config import Section


class IndexConfig(Section):
    """The Faiss index that a refresh builds and that the search service serves (inner product)."""

    factory: str = "Flat"
    """A Faiss index_factory string, e.g. `Flat`, `HNSW32`, `SQ8`, `IVF4096,PQ96`, `IVF4096,RaBitQ`."""
    parameters: dict[str, PositiveFloat] = Field(default_factory=dict)
    """Search-time parameters of the index by Faiss name, e.g. {nprobe: 16} of IVF or {efSearch: 128} of HNSW. They
    are saved in the index."""
    training_vectors: PositiveInt = 100_000
    """Vectors that a trained index (IVF, PQ, SQ) is trained on."""
    probe_queries: PositiveInt = 256
    """Queries whose results are compared with exact search, for the recall in a version's stats."""
