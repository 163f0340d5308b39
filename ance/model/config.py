"""Settings of the bi-encoder."""

from typing import Literal

from pydantic import Field, PositiveInt

from ance.config import Section


class ModelConfig(Section):
    """Which encoder a run starts from and how a text becomes one vector."""

    name_or_path: str
    """A Hugging Face model id or a folder. A sentence-transformers folder works too: its encoder is used."""
    layers: PositiveInt | None = None
    """Keep only the first N transformer layers (None: all)."""
    pooling: Literal["cls", "mean"] = "cls"
    """The vector is the first token's last hidden state, or the mean over the text's tokens."""
    projection_dim: PositiveInt | None = None
    """Add the head of the original ANCE, Linear(hidden, projection_dim) and LayerNorm (None: no head)."""
    normalize: bool = False
    """Scale vectors to unit length, so that the inner product is the cosine."""
    max_query_tokens: int = Field(default=64, ge=3)
    """Longest query in tokens, special tokens included."""
    max_passage_tokens: int = Field(default=512, ge=3)
    """Longest passage in tokens, special tokens included (FirstP: the rest is cut)."""
