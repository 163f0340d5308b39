"""Rows of texts that a source refers to by id or, where its files give no ids, by what they say."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ance.data.ids import IdIndex
from ance.data.records import Reference, Wording
from ance.data.texts import Texts

BATCH = 65_536
"""Texts read at a time."""
SHOWN = 40
"""Characters of a wording in a message."""


class References:
    """Finds the rows of texts.

    The first reference by wording reads all texts once and keeps 16 bytes for each, as for their ids. Of texts that say
    the same the last is found.
    """

    def __init__(self, texts: Texts) -> None:
        self._texts = texts
        self._by_wording: IdIndex | None = None

    def rows(self, references: Sequence[Reference]) -> NDArray[np.int64]:
        """Row of each reference, -1 where no text has that id or wording: int64 [n]."""
        rows = np.full(len(references), -1, np.int64)
        worded = [place for place, reference in enumerate(references) if isinstance(reference, Wording)]
        if worded:
            rows[worded] = self._wordings().find([_key(*references[place]) for place in worded])
        named = [place for place, reference in enumerate(references) if isinstance(reference, str)]
        if named:
            rows[named] = self._texts.rows_of([str(references[place]) for place in named])
        return rows

    def _wordings(self) -> IdIndex:
        if self._by_wording is None:
            index = IdIndex(self._wording)
            for start in range(0, len(self._texts), BATCH):
                stop = min(start + BATCH, len(self._texts))
                index.insert([self._wording(row) for row in range(start, stop)], start)
            self._by_wording = index
        return self._by_wording

    def _wording(self, row: int) -> str:
        document = self._texts.documents[row]
        return _key(document["text"], document["title"])


def named(reference: Reference) -> str:
    """A reference for people, e.g. `id 'p1'`."""
    if isinstance(reference, str):
        return f"id '{reference}'"
    shown = reference.text if len(reference.text) <= SHOWN else f"{reference.text[:SHOWN]}..."
    return f"text '{shown}'"


def _key(text: str, title: str) -> str:
    return f"{title.strip()}\t{text.strip()}"
