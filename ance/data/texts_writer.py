"""Writes a folder of tokenised texts from a stream, in memory that does not grow with the texts."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ance.data.ids import IdIndex
from ance.data.invalid import InvalidTally
from ance.data.ragged import RaggedWriter
from ance.data.records import Invalid, Located, Passage, Reason
from ance.data.texts import token_dtype
from ance.data.tokenizer import Tokenizer

Tokenised = tuple[Located[Passage], list[int]]


class TextsWriter:
    """Checks, tokenises and writes texts in batches; reports to the tally those that it leaves out.

    Queries are written as passages without a title. Rows are numbered in the order of the stream.
    """

    def __init__(self, folder: Path, tokenizer: Tokenizer, max_tokens: int, tally: InvalidTally) -> None:
        folder.mkdir(parents=True)
        self._folder = folder
        self._tokenizer = tokenizer
        self._max_tokens = max_tokens
        self._tally = tally
        self._files = ExitStack()
        self._tokens = self._open("tokens", token_dtype(tokenizer.vocab_size))
        self._ids = self._open("ids", np.uint8)
        self._documents = self._open("documents", np.uint8)
        self._index = IdIndex(lambda row: self._ids[row].tobytes().decode())

    def _open(self, name: str, dtype: Any) -> RaggedWriter:
        writer = RaggedWriter(self._folder / f"{name}.bin", self._folder / f"{name}.npy", dtype)
        return self._files.enter_context(writer)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._files.__exit__(kind, error, trace)
        if error is None:
            self._index.save(self._folder)

    def __len__(self) -> int:
        return len(self._ids)

    def write(self, batch: Sequence[Located[Passage]]) -> None:
        """Add the valid texts of a batch.

        Raises:
            AnceError: a text is invalid, and the tally does not leave such out.
        """
        fresh = self._without_duplicates(self._tokenise(self._readable(batch)))
        self._index.insert([located.record.id for located, _ in fresh], len(self))
        self._tokens.extend(tokens for _, tokens in fresh)
        self._ids.extend(_bytes(located.record.id) for located, _ in fresh)
        self._documents.extend(_bytes(_document(located.record)) for located, _ in fresh)

    def _readable(self, batch: Iterable[Located[Passage]]) -> list[Located[Passage]]:
        readable = []
        for located in batch:
            passage, where = located
            try:
                "".join((passage.id, passage.title, passage.text, *passage.parts)).encode()
            except UnicodeEncodeError:
                detail = "has half of a surrogate pair (\\ud800 to \\udfff), which is no text"
                self._tally.report(Invalid(Reason.MALFORMED, where, detail))
                continue
            readable.append(located)
        return readable

    def _tokenise(self, batch: Sequence[Located[Passage]]) -> list[Tokenised]:
        tokenised = []
        texts = [located.record.encoded_parts for located in batch]
        for located, tokens in zip(batch, self._tokenizer.encode_parts(texts, self._max_tokens), strict=True):
            if tokens:
                tokenised.append((located, tokens))
            else:
                detail = f"'{located.record.id}' has no text"
                self._tally.report(Invalid(Reason.EMPTY_TEXT, located.where, detail))
        return tokenised

    def _without_duplicates(self, batch: Sequence[Tokenised]) -> list[Tokenised]:
        rows = self._index.find([located.record.id for located, _ in batch])
        fresh: dict[str, Tokenised] = {}
        for row, tokenised in zip(rows, batch, strict=True):
            (passage, where), _ = tokenised
            if row >= 0 or passage.id in fresh:
                detail = f"the id '{passage.id}' belongs to an earlier record"
                self._tally.report(Invalid(Reason.DUPLICATE_ID, where, detail))
            else:
                fresh[passage.id] = tokenised
        return list(fresh.values())


def _bytes(text: str) -> NDArray[np.uint8]:
    return np.frombuffer(text.encode(), np.uint8)


def _document(passage: Passage) -> str:
    return json.dumps({"title": passage.title, "text": passage.text}, ensure_ascii=False)
