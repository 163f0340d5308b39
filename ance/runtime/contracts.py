"""What the services agree on: the objects that travel between them and the run's configuration.

All are frozen. Sizes are bytes, times are seconds since the epoch in UTC, steps are optimiser steps of the
trainer; a version (of an index, of negatives, of embeddings) is named by the step of its checkpoint.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass
from enum import StrEnum
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Literal, Self

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeInt,
    PositiveInt,
    ValidationError,
    field_validator,
    model_validator,
)

from ance.config import Section
from ance.errors import AnceError
from ance.evaluation.config import EvaluationConfig
from ance.model.config import CompileBackend, ModelConfig
from ance.negatives.config import NegativesConfig
from ance.retrieval.config import IndexConfig
from ance.training.config import TrainingConfig

if TYPE_CHECKING:
    from ance.data.dataset import Dataset
    from ance.model.encoding import TextEncoder
    from ance.retrieval.interfaces import SearchableIndex

NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$"
SHA256 = r"^[0-9a-f]{64}$"


class EncodingConfig(Section):
    """How inferencers cut a pass into tasks and run it."""

    shard_size: PositiveInt = 16_384
    """Rows an encode task covers. A shard should take 30 to 120 seconds, so that a lost worker costs little."""
    token_budget: PositiveInt = 16_384
    """Tokens a forward pass, padding included."""
    dtype: str = Field(default="float32", pattern=r"^(float32|bfloat16|float16)$")
    """Precision of the forward pass. Vectors are stored as float32."""
    compile: CompileBackend | None = None
    """Compile the encoder with torch.compile, with `inductor` (None: not). Needs a C++ compiler or, on a GPU, Triton
    in the image; BERT-like encoders then run in padded batches."""


class RetentionConfig(Section):
    """What is kept in the store. The start, warm-up and final checkpoints are always kept."""

    keep: PositiveInt = 3
    """Newest checkpoints and versions to keep of each kind."""


class RunConfig(Section):
    """A whole run, from one YAML file, stored verbatim in the run and hashed into every manifest."""

    run: str = Field(pattern=NAME)
    """The run's id: names its folder in the store and its keys in Redis."""
    dataset: str = Field(pattern=NAME)
    """A data set of the store, made by `ance prepare`."""
    model: ModelConfig
    training: TrainingConfig
    negatives: NegativesConfig = NegativesConfig()
    index: IndexConfig = IndexConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    encoding: EncodingConfig = EncodingConfig()
    retention: RetentionConfig = RetentionConfig()

    @model_validator(mode="after")
    def _passages_can_stay(self) -> Self:
        if self.training.ance.negatives == "adore":
            if self.negatives.momentum or self.negatives.lookahead:
                raise ValueError("momentum and lookahead are of mined versions: negatives: adore goes without them")
            if self.model.max_chunks > 1:
                raise ValueError("negatives: adore takes one vector a passage: set model.max_chunks: 1")
        return self

    @model_validator(mode="after")
    def _index_is_asked(self) -> Self:
        stage, unused = self.training.ance, self.negatives.of_an_index
        # With steps alone: `ance warmup` leaves the second stage out of any configuration, and the rest as it is.
        if stage.steps and not stage.retrieves and unused:
            raise ValueError(
                f"{' and '.join(f'negatives.{key}' for key in unused)} would change nothing: no index is asked for"
                f" training.ance.negatives: {stage.negatives}: go without, or set training.ance.negatives: ance"
            )
        return self

    @model_validator(mode="after")
    def _negatives_are_enough(self) -> Self:
        drawn = self.training.negatives_per_query
        for name, stage in (("warmup", self.training.warmup), ("ance", self.training.ance)):
            key = "candidates" if stage.negatives == "adore" else "sample"
            of_each, most = math.ceil(drawn / len(stage.sources)), getattr(self.negatives, key)
            if stage.steps and (stage.lists or stage.negatives == "adore") and of_each > most:
                raise ValueError(
                    f"training.negatives_per_query ({drawn}) draws {of_each} of negatives.{key} ({most}) in"
                    f" training.{name}, and random passages for the rest: raise negatives.{key}, or lower"
                    " training.negatives_per_query"
                )
        return self

    @model_validator(mode="after")
    def _momentum_has_a_version_before(self) -> Self:
        if self.negatives.momentum and self.training.refresh == "static":
            raise ValueError(
                "negatives.momentum draws from the version before, and with training.refresh: static there is none:"
                " leave one of them out"
            )
        return self

    @model_validator(mode="after")
    def _teacher_has_enough(self) -> Self:
        teacher, negatives = self.training.ance.teacher, self.negatives
        depth = None if teacher is None else teacher.depth
        if depth is not None and not negatives.sample <= depth <= negatives.candidates:
            raise ValueError(
                f"training.ance.teacher.depth ({depth}) must be at least negatives.sample ({negatives.sample})"
                f" and at most negatives.candidates ({negatives.candidates})"
            )
        pools = negatives.momentum + negatives.lookahead
        if depth is not None and depth > negatives.sample and negatives.sampling == "top" and pools:
            raise ValueError(
                f"of the {depth} that the teacher scores negatives.sampling: top keeps the highest ranked, and none of"
                " momentum and lookahead: set negatives.sampling: uniform, or leave training.ance.teacher.depth out"
            )
        return self

    @classmethod
    def parse(cls, text: str, source: str) -> RunConfig:
        """Read a configuration from YAML. `source` names the text in errors.

        Raises:
            AnceError: not YAML, an unknown or missing key, or a value out of range; the message names the key.
        """
        try:
            values = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise AnceError(f"{source}: not valid YAML: {' '.join(str(error).split())}") from error
        if not isinstance(values, dict):
            raise AnceError(f"{source}: expected a mapping of settings, found {type(values).__name__}")
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise AnceError(f"{source}: {describe(error)}") from error

    @property
    def sha256(self) -> str:
        """Hash of the settings in canonical JSON: comments and key order do not matter."""
        canonical = json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()


def describe(error: ValidationError) -> str:
    """All problems of a failed validation on one line, each with the dotted key it is about."""
    problems = []
    for problem in error.errors():
        key = ".".join(str(part) for part in problem["loc"]) or "settings"
        if problem["type"] == "extra_forbidden":
            problems.append(f"unknown key '{key}': remove it or correct its spelling")
        elif problem["type"] == "missing":
            problems.append(f"'{key}' is missing, and has no default")
        else:
            problems.append(f"'{key}': {problem['msg']}, got {problem['input']!r}")
    return "; ".join(problems)


class Kind(StrEnum):
    """Kinds of artifact."""

    DATASET = "dataset"
    CHECKPOINT = "checkpoint"
    EMBEDDINGS = "embeddings"
    INDEX = "index"
    NEGATIVES = "negatives"
    RERANKER = "reranker"
    SCORES = "scores"
    """Of pairs, by the run's teacher: all that it has scored so far."""


class Part(StrEnum):
    """The row spaces that a refresh encodes. Query parts come first: mining needs them."""

    TRAIN_QUERIES = "train_queries"
    DEV_QUERIES = "dev_queries"
    PASSAGES = "passages"


class Contract(BaseModel):
    """Base of the objects that cross a process boundary. Readers ignore fields that newer writers add."""

    model_config = ConfigDict(frozen=True, extra="ignore", use_attribute_docstrings=True)


class FileEntry(Contract):
    """One file of an artifact."""

    path: str
    """Relative to the artifact's folder, with forward slashes."""
    size: NonNegativeInt
    sha256: str = Field(pattern=SHA256)

    @field_validator("path")
    @classmethod
    def _inside(cls, path: str) -> str:
        parts = PurePosixPath(path).parts
        if not parts or path.startswith("/") or ".." in parts or "\\" in path:
            raise ValueError("must be a relative path that stays inside the artifact's folder")
        return path


class Manifest(Contract):
    """What an artifact consists of. Written last: an artifact without one does not exist."""

    schema_version: int = 1
    kind: Kind
    run_id: str = ""
    """Empty for data sets, which belong to no run."""
    step: NonNegativeInt = 0
    created_at: float
    fencing_token: NonNegativeInt = 0
    """Of the lease under which it was published; a store refuses a pointer move with an older one."""
    parents: dict[str, str] = {}
    """Role -> sha256 of the parent's manifest, e.g. {"checkpoint": ...}."""
    config_sha256: str = ""
    files: tuple[FileEntry, ...]
    stats: dict[str, Any] = {}
    traceparent: str = ""
    """Of the span that published it; empty without tracing."""

    def to_bytes(self) -> bytes:
        """The exact bytes that are stored, and whose sha256 identifies the artifact."""
        return self.model_dump_json(indent=1).encode()


class ArtifactRef(Contract):
    """Names one published artifact beyond doubt: where its manifest is, and the manifest's hash."""

    step: NonNegativeInt
    manifest_uri: str
    """Relative to the store's root, e.g. `runs/demo/checkpoints/300/manifest.json`."""
    manifest_sha256: str = Field(pattern=SHA256)
    created_at: float
    fencing_token: NonNegativeInt = 0
    final: bool = False
    """The run ends with this step: no newer version will follow."""
    traceparent: str = ""
    """Of the span that published it: whoever acts on it continues that trace. Empty without tracing."""


class EncodeTask(Contract):
    """Encode rows [start, stop) of a part with one checkpoint. Ids and URIs only, never vectors."""

    run_id: str
    step: NonNegativeInt
    part: Part
    shard: NonNegativeInt
    start: NonNegativeInt
    stop: PositiveInt
    checkpoint_uri: str
    checkpoint_sha256: str = Field(pattern=SHA256)
    output_uri: str
    traceparent: str = ""
    """Of the refresh that it is part of."""

    @property
    def size(self) -> int:
        """Rows."""
        return self.stop - self.start

    @property
    def id(self) -> str:
        """The same for the same work, so that it is enqueued and done once."""
        return f"{self.run_id}/{self.step}/{self.part}/{self.shard}"


class ScoreTask(Contract):
    """Score pairs of a training query and a passage with the run's teacher, for the negatives of one checkpoint."""

    kind: Literal["score"] = "score"
    run_id: str
    step: NonNegativeInt
    shard: NonNegativeInt
    pairs_uri: str
    """The pairs, .npy as `ance.negatives.pair_scores` has them."""
    pairs_sha256: str = Field(pattern=SHA256)
    size: PositiveInt
    """Pairs."""
    teacher_uri: str
    teacher_sha256: str = Field(pattern=SHA256)
    output_uri: str
    """float32 .npy, one score a pair."""
    traceparent: str = ""
    """Of the refresh that it is part of."""

    @property
    def part(self) -> Literal["pairs"]:
        """Stands where an encode task has its part."""
        return "pairs"

    @property
    def id(self) -> str:
        """The same for the same pairs of the same step."""
        return f"{self.run_id}/{self.step}/{self.part}/{self.shard}-{self.pairs_sha256[:16]}"


Task = EncodeTask | ScoreTask
"""What an inferencer does."""


@dataclass(frozen=True, slots=True)
class SearchSnapshot:
    """All that answers a query, made from one version. Replaced as a whole, never changed."""

    step: int
    encoder: TextEncoder
    index: SearchableIndex
    documents: Dataset
    created_at: float
