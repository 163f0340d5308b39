"""From rows of a token store to batches: which rows go together, and their tokens as arrays."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ance.data.ragged import Ragged
from ance.data.tokenizer import SpecialTokens


def token_budget_batches(lengths: NDArray[np.int64], budget: int) -> list[NDArray[np.int64]]:
    """Cut rows into batches of similar lengths, the longest first.

    Args:
        lengths: int64 [n], tokens of each row.
        budget: rows x longest row of a batch stays within it. A longer row is a batch of its own.

    Returns:
        Positions into `lengths`, each once; descending length within a batch and over the batches.
    """
    order = np.argsort(-lengths, kind="stable")
    batches, start = [], 0
    while start < len(order):
        rows = max(1, budget // max(1, int(lengths[order[start]])))
        batches.append(order[start : start + rows])
        start += rows
    return batches


def text_lengths(tokens: Ragged, rows: NDArray[np.int64], special: SpecialTokens, max_tokens: int) -> NDArray[np.int64]:
    """int64 [n]: tokens of each row as the model sees it, special tokens included, cut to `max_tokens`."""
    around = len(special.prefix) + len(special.suffix)
    lengths: NDArray[np.int64] = np.minimum(tokens.offsets[rows + 1] - tokens.offsets[rows] + around, max_tokens)
    return lengths


def pack(
    tokens: Ragged, rows: NDArray[np.int64], special: SpecialTokens, max_tokens: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Texts end to end, each between its special tokens.

    Returns:
        ids int64 [T] and lengths int64 [n] with T = lengths.sum().
    """
    lengths = text_lengths(tokens, rows, special, max_tokens)
    ends = np.cumsum(lengths)
    starts = ends - lengths
    in_text = np.arange(ends[-1] if len(ends) else 0) - np.repeat(starts, lengths)
    to_end = np.repeat(lengths, lengths) - in_text
    content = (in_text >= len(special.prefix)) & (to_end > len(special.suffix))
    source = np.repeat(tokens.offsets[rows] - len(special.prefix), lengths) + in_text
    ids = np.empty(len(in_text), np.int64)
    ids[content] = tokens.flat[source[content]]
    ids[starts[:, None] + np.arange(len(special.prefix))] = special.prefix
    ids[ends[:, None] - np.arange(len(special.suffix), 0, -1)] = special.suffix
    return ids, lengths


def pad(
    ids: NDArray[np.int64], lengths: NDArray[np.int64], pad_id: int, width: int | None = None
) -> tuple[Tensor, Tensor]:
    """What `pack` gives as a padded batch: input_ids and attention_mask, both int64 [n, width or longest]."""
    mask = np.arange(width or lengths.max(initial=0)) < lengths[:, None]
    padded = np.full(mask.shape, pad_id, np.int64)
    padded[mask] = ids
    return torch.from_numpy(padded), torch.from_numpy(mask.astype(np.int64))


def to_device(batch: Tensor, device: torch.device) -> Tensor:
    """Move a batch, without waiting for a GPU to have it."""
    return batch.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else batch.to(device)


def collate(
    tokens: Ragged, rows: NDArray[np.int64], special: SpecialTokens, max_tokens: int, multiple: int = 1
) -> tuple[Tensor, Tensor]:
    """A padded batch of rows.

    Args:
        tokens: content tokens, without special tokens.
        rows: int64 [B].
        max_tokens: longest text, special tokens included; content is cut to fit.
        multiple: the width is rounded up to a multiple of this, but not beyond `max_tokens`.

    Returns:
        input_ids int64 [B, L] and attention_mask int64 [B, L] with L the longest of these texts, rounded up.
    """
    ids, lengths = pack(tokens, rows, special, max_tokens)
    longest = int(lengths.max(initial=0))
    return pad(ids, lengths, special.pad_id, min(-(-longest // multiple) * multiple, max_tokens))
