"""Settings of negative mining."""

from typing import Literal, Self

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from ance.config import Section


class TeacherConfig(Section):
    """A cross-encoder that scores the negatives of each version, and their queries' positives, as a task of the
    inferencers. A pair is scored once in a run."""

    cross_encoder: str
    """Hugging Face id or folder of a cross-encoder with one logit, or `reranker:RUN`, the newest that `ance reranker
    train` has made for a run of the same store. It is copied into the run when that is created."""
    depth: PositiveInt | None = None
    """Negatives of each query that are drawn and scored (None: as many as `negatives.sample`). Of more, denoising has
    enough to leave."""
    denoise_margin: NonNegativeFloat | None = None
    """Drop negatives that score less than this below the query's best positive, or above it, in units of the logit
    (None: none). They are likely to be relevant and not judged (RocketQA)."""
    max_tokens: int = Field(default=256, ge=8)
    """Longest pair in tokens, special tokens included; less where the cross-encoder takes less."""
    shard_pairs: PositiveInt = 4096
    """Pairs a scoring task covers. A task should take 30 to 120 seconds, so that a lost worker costs little."""


class NegativesConfig(Section):
    """How negatives are mined (paper section 5: top 200 of the index; original code: 20 kept a query)."""

    candidates: PositiveInt = 200
    """Top-k passages of the index that a query's negatives are sampled from."""
    sample: PositiveInt = 20
    """Negatives published for each query and version, sampled from the candidates."""
    sampling: Literal["uniform", "top", "simans"] = "uniform"
    """`uniform` is the paper's; `top` takes the highest ranked; `simans` prefers scores near the positive's
    (Zhou et al., EMNLP 2022): p proportional to exp(-simans_a * (score - positive's score - simans_b)^2)."""
    simans_a: PositiveFloat = 1.0
    """How sharply SimANS prefers. Scores are inner products as the index has them: unit vectors need a larger a."""
    simans_b: float = 0.0
    """Where SimANS prefers negatives, relative to the positive's score."""
    relative_margin: float | None = Field(default=None, ge=0, lt=1)
    """Drop candidates within this share of the positive's score, or above it: 0.05 keeps those of up to 95 % of it
    (NV-Retriever's TopK-PercPos). They are likely to be relevant and not judged. Like `absolute_margin` for what an
    index ranks, momentum and look-ahead negatives among it."""
    absolute_margin: NonNegativeFloat | None = None
    """Drop candidates that score less than this below the positive, or above it (TopK-MarginPos)."""
    exclude_answers: bool = False
    """Drop candidates whose text holds an answer to the query (OpenQA): of an index, of BM25, and of those that the
    data set came with. Needs a data set with answers."""
    momentum: float = Field(default=0.0, ge=0, lt=1)
    """Share of the sample drawn from the candidates of the version before (ANCE-Tele)."""
    lookahead: float = Field(default=0.0, ge=0, lt=1)
    """Share of the sample drawn from the neighbours of the query's positive (ANCE-Tele)."""
    seed: NonNegativeInt = 42

    @model_validator(mode="after")
    def _sample_fits(self) -> Self:
        if self.sample > self.candidates:
            raise ValueError(f"sample ({self.sample}) must not exceed candidates ({self.candidates})")
        if self.momentum + self.lookahead >= 1:
            raise ValueError(
                f"momentum ({self.momentum}) and lookahead ({self.lookahead}) must leave some of the sample"
            )
        return self

    def without_scores(self) -> Self:
        """The settings for a ranking that no encoder made: nothing that compares or mixes its similarities."""
        sampling = "uniform" if self.sampling == "simans" else self.sampling
        off = {"relative_margin": None, "absolute_margin": None, "momentum": 0.0, "lookahead": 0.0}
        return self.model_copy(update={"sampling": sampling, **off})

    @property
    def of_an_index(self) -> tuple[str, ...]:
        """The keys set here that act on the ranking of an index of the run, and on no other."""
        without = self.without_scores()
        return tuple(key for key in type(self).model_fields if getattr(self, key) != getattr(without, key))
