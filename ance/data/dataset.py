"""A prepared data set: tokenised passages, queries by split, and judgements, all mapped into memory."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, NonNegativeInt, PositiveInt, ValidationError

from ance.data.answers import open_answers
from ance.data.candidates import Candidates
from ance.data.qrels import Qrels
from ance.data.texts import Texts, token_dtype
from ance.data.tokenizer import SpecialTokens
from ance.errors import AnceError

META = "dataset.json"


class DatasetMeta(BaseModel):
    """What a data set says about itself, in `dataset.json`. Written last: without it there is no data set."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    format: Literal[1] = 1
    name: str
    tokenizer_sha256: str
    vocab_size: PositiveInt
    prefix: tuple[int, ...]
    """Token ids that an encoder puts before a text."""
    suffix: tuple[int, ...]
    """Token ids that an encoder puts after a text."""
    pad_id: NonNegativeInt
    max_tokens: PositiveInt
    """Content tokens a text was cut to."""
    splits: tuple[str, ...]
    counts: dict[str, int]
    """`passages`, and `<split>_queries`, `<split>_judgements`, `<split>_queries_without_positive`; `<split>_candidates`
    where the source gave some."""
    provenance: dict[str, Any] = {}
    """What the source says it was made from."""

    @property
    def special(self) -> SpecialTokens:
        """The special tokens around a text."""
        return SpecialTokens(self.prefix, self.suffix, self.pad_id)


class Dataset:
    """A data set that `prepare` wrote. Opening it reads no text."""

    def __init__(self, folder: Path, meta: DatasetMeta) -> None:
        self.folder = folder
        self.meta = meta
        self._dtype = token_dtype(meta.vocab_size)
        self.passages = Texts(folder / "passages", self._dtype)

    @classmethod
    def open(cls, folder: Path) -> Dataset:
        """Open the data set in a folder.

        Raises:
            AnceError: there is no complete data set in the folder, or a newer version wrote it.
        """
        path = folder / META
        if not path.is_file():
            raise AnceError(f"{folder}: no data set, {META} is missing; make one with `ance prepare`")
        try:
            meta = DatasetMeta.model_validate_json(path.read_bytes())
        except ValidationError as error:
            problem = error.errors()[0]
            key = ".".join(map(str, problem["loc"]))
            raise AnceError(f"{path}: {key}: {problem['msg']}; make it again with `ance prepare`") from error
        return cls(folder, meta)

    @property
    def name(self) -> str:
        """The name under which the store keeps it."""
        return self.meta.name

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of the splits."""
        return self.meta.splits

    @property
    def special(self) -> SpecialTokens:
        """The special tokens that an encoder puts around a text."""
        return self.meta.special

    def queries(self, split: str) -> Texts:
        """The queries that have a judgement in the split."""
        return Texts(self._split_folder("queries", split), self._dtype)

    def qrels(self, split: str) -> Qrels:
        """The judgements of the split, by row of `queries(split)`."""
        return Qrels.open(self._split_folder("qrels", split))

    def answers(self, split: str) -> Sequence[list[str]]:
        """Answers of each row of `queries(split)`, decoded when asked for; a query may have none.

        Raises:
            AnceError: the source of the data set knew no answers.
        """
        answers = open_answers(self._split_folder("queries", split))
        if answers is None:
            raise AnceError(f"data set '{self.name}', split '{split}': its queries have no answers")
        return answers

    def has_answers(self, split: str) -> bool:
        """Whether the queries of the split have answers."""
        return open_answers(self._split_folder("queries", split)) is not None

    def candidates(self, split: str) -> Candidates:
        """The passages that the data set came with for each row of `queries(split)`, to re-rank or as negatives.

        Raises:
            AnceError: it came with none.
        """
        candidates = Candidates.open(self._split_folder("candidates", split))
        if candidates is None:
            raise AnceError(f"data set '{self.name}', split '{split}': its source gave no candidates for its queries")
        return candidates

    def has_candidates(self, split: str) -> bool:
        """Whether the data set came with candidates for the split."""
        return Candidates.open(self._split_folder("candidates", split)) is not None

    def _split_folder(self, part: str, split: str) -> Path:
        if split not in self.splits:
            raise AnceError(f"data set '{self.name}' has no split '{split}', it has: {', '.join(self.splits)}")
        return self.folder / part / split
