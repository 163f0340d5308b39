"""One folder of tokenised texts, mapped into memory: passages, or the queries of a split."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ance.data.ids import IdIndex
from ance.data.ragged import Decoded, Ragged


def token_dtype(vocab_size: int) -> np.dtype[np.unsignedinteger]:
    """The smallest dtype that holds every token id: uint16 or uint32."""
    return np.dtype(np.uint16 if vocab_size < 2**16 else np.uint32)


def _document(line: bytes) -> dict[str, str]:
    document: dict[str, str] = json.loads(line)
    return document


class Texts:
    """Texts by row. Opening one costs no more than mapping its files.

    Args:
        folder: what a `TextsWriter` wrote.
        dtype: of the tokens, see `token_dtype`.
    """

    def __init__(self, folder: Path, dtype: DTypeLike) -> None:
        self.tokens = Ragged.open(folder / "tokens.bin", folder / "tokens.npy", dtype)
        """Content tokens: no special tokens, cut to the data set's `max_tokens`."""
        ids = Ragged.open(folder / "ids.bin", folder / "ids.npy", np.uint8)
        self.ids: Sequence[str] = Decoded(ids, bytes.decode)
        """Id of each row."""
        documents = Ragged.open(folder / "documents.bin", folder / "documents.npy", np.uint8)
        self.documents: Sequence[dict[str, str]] = Decoded(documents, _document)
        """`title` (empty for a query) and `text` of each row, to show and to search sparsely."""
        self._index = IdIndex.open(folder, self.ids.__getitem__)

    def __len__(self) -> int:
        return len(self.tokens)

    def full_texts(self) -> Iterator[str]:
        """Title and text of each row as one string, read one at a time: what BM25 indexes and searches."""
        return map(self.full_text, range(len(self)))

    def full_text(self, row: int) -> str:
        """Title and text of a row as one string."""
        document = self.documents[row]
        return f"{document['title']} {document['text']}".strip()

    def row_of(self, text_id: str) -> int:
        """Row of an id.

        Raises:
            KeyError: no text has the id.
        """
        row = int(self.rows_of([text_id])[0])
        if row < 0:
            raise KeyError(text_id)
        return row

    def rows_of(self, text_ids: Sequence[str]) -> NDArray[np.int64]:
        """Row of each id, -1 where no text has it: int64 [n]."""
        return self._index.find(text_ids)
