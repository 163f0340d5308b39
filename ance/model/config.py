"""Settings of the bi-encoder."""

from typing import Literal, Self

from pydantic import Field, PositiveInt, model_validator

from ance.config import Section

CompileBackend = Literal["inductor", "eager"]
"""Of torch.compile: `inductor` compiles; `eager` only traces a model, which shows whether it can be compiled."""


class ModelConfig(Section):
    """Which encoder a run starts from and how a text becomes one vector."""

    name_or_path: str
    """A Hugging Face model id or a folder: of an encoder, of sentence-transformers, or of a checkpoint as ANCE and DPR
    were released."""
    shared: bool = True
    """Whether one encoder reads queries and passages (ANCE), or each has one of its own, two towers (DPR)."""
    query_name_or_path: str | None = None
    """Where the queries' own tower starts from (None: from `name_or_path`, too)."""
    layers: PositiveInt | None = None
    """Keep only the first N transformer layers (None: all)."""
    pooling: Literal["cls", "mean"] = "cls"
    """The vector is the first token's last hidden state, or the mean over the text's tokens."""
    projection_dim: PositiveInt | None = None
    """Width of the head of the original ANCE, Linear(hidden, projection_dim) and LayerNorm (None: no head). Where the
    model that a run starts from has one, it is kept; else it is drawn anew."""
    normalize: bool = False
    """Scale vectors to unit length, so that the inner product is the cosine."""
    max_query_tokens: int = Field(default=64, ge=3)
    """Longest query in tokens, special tokens included."""
    max_passage_tokens: int = Field(default=512, ge=3)
    """Longest passage in tokens, special tokens included; with `max_chunks` above 1, the longest chunk of one."""
    max_chunks: PositiveInt = 1
    """Vectors a passage: 1 encodes its first `max_passage_tokens` (FirstP); more encode as many consecutive chunks of
    a longer passage, which then scores as much as its best chunk (MaxP; the paper has 4 chunks of 512)."""

    @model_validator(mode="after")
    def _query_tower_is_there(self) -> Self:
        if self.shared and self.query_name_or_path is not None:
            raise ValueError("query_name_or_path is of two towers: set shared: false, or leave it out")
        return self
