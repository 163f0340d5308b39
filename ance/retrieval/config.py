"""Settings of the passage index."""

from pydantic import PositiveInt

from ance.config import Section


class IndexConfig(Section):
    """The Faiss index that a refresh builds and that the search service serves (inner product)."""

    factory: str = "Flat"
    """A Faiss index_factory string, e.g. `Flat`, `HNSW32`, `IVF4096,PQ96`."""
    training_vectors: PositiveInt = 100_000
    """Vectors that a trained index (IVF, PQ) is trained on."""
