"""Query and passage as one input of a cross-encoder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ance.errors import AnceError


@dataclass(frozen=True, slots=True)
class PairBatch:
    """Padded pairs, all tensors int64 [B, L]. `token_type_ids` is None for models that tell no segments apart."""

    input_ids: Tensor
    attention_mask: Tensor
    token_type_ids: Tensor | None

    def to(self, device: torch.device) -> PairBatch:
        """The batch on a device."""
        types = None if self.token_type_ids is None else self.token_type_ids.to(device)
        return PairBatch(self.input_ids.to(device), self.attention_mask.to(device), types)


@dataclass(frozen=True, slots=True)
class Pair:
    """Token ids and segments of one pair, special tokens included."""

    ids: list[int]
    segments: list[int]


class PairTokenizer:
    """Joins two texts as the model was trained to read them, e.g. `[CLS] query [SEP] passage [SEP]`.

    A pair that is too long loses tokens of its longer text first, as in transformers and sentence-transformers.
    Several threads may use one at once.

    Args:
        folder: holds the files of a fast Hugging Face tokenizer.
        max_tokens: longest pair, special tokens included.

    Raises:
        AnceError: there is no such tokenizer.
    """

    def __init__(self, folder: Path, max_tokens: int) -> None:
        from transformers import AutoTokenizer  # takes seconds to import

        try:
            tokenizer = AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
        except (OSError, ValueError) as error:
            reason = str(error).strip().splitlines()[0]
            raise AnceError(f"{folder}: no tokenizer could be loaded: {reason}") from error
        if not tokenizer.is_fast:
            raise AnceError(f"{folder}: needs a fast tokenizer (tokenizer.json), found a slow one only")
        self.max_tokens = max_tokens
        self._folder = folder
        self._backend = tokenizer.backend_tokenizer
        self._backend.no_padding()
        self._backend.enable_truncation(max_tokens, strategy="longest_first")
        self._pad_id = tokenizer.pad_token_id or 0
        self._segments = "token_type_ids" in tokenizer.model_input_names

    def require_fit(self, embeddings: int) -> None:
        """Refuse a tokenizer that is none of a cross-encoder with so many token embeddings.

        Raises:
            AnceError: it has more tokens, or runs the two texts of a pair together.
        """
        tokens = self._backend.get_vocab_size(with_added_tokens=True)
        if tokens > embeddings:
            raise AnceError(
                f"{self._folder}: its tokenizer has {tokens} tokens, but its model only {embeddings}:"
                " they are not of the same cross-encoder"
            )
        if not self._backend.num_special_tokens_to_add(is_pair=True):
            raise AnceError(
                f"{self._folder}: its tokenizer puts nothing between the two texts of a pair, such as [SEP]:"
                " it is none of a cross-encoder"
            )

    def encode(self, pairs: Sequence[tuple[str, str]]) -> list[Pair]:
        """The tokens of each pair, cut to `max_tokens`."""
        encodings = self._backend.encode_batch(list(pairs))
        return [Pair(encoding.ids, encoding.type_ids) for encoding in encodings]

    def collate(self, pairs: Sequence[Pair]) -> PairBatch:
        """Pairs as a batch, padded on the right to the longest of them."""
        lengths = np.array([len(pair.ids) for pair in pairs], np.int64)
        mask = np.arange(lengths.max(initial=0)) < lengths[:, None]
        types = _padded(mask, [pair.segments for pair in pairs], 0) if self._segments else None
        ids = _padded(mask, [pair.ids for pair in pairs], self._pad_id)
        return PairBatch(ids, torch.from_numpy(mask.astype(np.int64)), types)


def _padded(mask: NDArray[np.bool_], rows: Sequence[list[int]], fill: int) -> Tensor:
    values = np.full(mask.shape, fill, np.int64)
    values[mask] = np.concatenate(rows)
    return torch.from_numpy(values)
