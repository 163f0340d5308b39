"""MaxP: a long passage as several consecutive chunks, each encoded as a text of its own (paper, section 5).

A passage scores as much as its best chunk. Chunks follow from the passage's length alone, so whoever knows data set
and settings knows them: they are written down nowhere. There is no chunk of padding.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ance.data.ragged import Ragged
from ance.data.tokenizer import SpecialTokens
from ance.model.config import ModelConfig


@dataclass(frozen=True, slots=True)
class Chunking:
    """Where passages are cut.

    Attributes:
        content: tokens of a chunk, without the special tokens around it.
        most: chunks of a passage; what follows them is cut. 1: FirstP, every passage is one text.
    """

    content: int
    most: int

    @classmethod
    def of(cls, model: ModelConfig, special: SpecialTokens) -> Chunking:
        """As a run's settings say."""
        around = len(special.prefix) + len(special.suffix)
        return cls(max(1, model.max_passage_tokens - around), model.max_chunks)

    def counts(self, passages: Ragged) -> NDArray[np.int64]:
        """Chunks of each passage, int64 [n]; a passage without a token has one, too."""
        return np.clip(-(-passages.lengths // self.content), 1, self.most)

    def owners(self, passages: Ragged) -> NDArray[np.int64]:
        """The passage that each chunk is of, int64 [chunks], ascending."""
        return np.repeat(np.arange(len(passages)), self.counts(passages))

    def split(self, passages: Ragged) -> Ragged:
        """The chunks of all passages, passage by passage, each to be cut to the model's limit as any text is.

        Nothing is copied: chunks are other borders in the same tokens. The last chunk of a passage goes on to the
        passage's end; what is beyond its `content` is what the limit cuts.
        """
        if self.most == 1:
            return passages
        counts = self.counts(passages)
        before = np.cumsum(counts) - counts
        number = np.arange(counts.sum()) - np.repeat(before, counts)  # of the chunk in its passage
        starts = np.repeat(passages.offsets[:-1], counts) + number * self.content
        return Ragged(passages.flat, np.append(starts, passages.offsets[-1]))


FIRST_P = Chunking(content=1, most=1)
"""Every passage is one text, and cut where the model's limit is."""
