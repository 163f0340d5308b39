"""Encoding rows of a token store, or live texts, into vectors."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import cached_property
from itertools import chain
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from ance.data.ragged import Ragged
from ance.data.tokenizer import SpecialTokens, Tokenizer
from ance.model.batching import pack, text_lengths, token_budget_batches
from ance.model.bi_encoder import BiEncoder
from ance.model.config import CompileBackend
from ance.model.packed import PackedEncoder
from ance.model.padded import PaddedEncoder

CPU_TOKEN_BUDGET = 4096
"""More tokens a batch gave nothing on the two-core machines tried: the activations of a batch should fit the cache."""


class EncodingStopped(Exception):
    """`should_stop` said so. Nothing of the call is left over."""


class TextEncoder:
    """A bi-encoder made ready to encode: on its device, in its precision, without padding where it can.

    It encodes passages; `queries` encodes queries.

    The weights are copied, so later training steps on `model` do not show. Nothing changes after construction but
    the tokenizer, which loads when it is first needed, so several threads may use one encoder at once.

    Args:
        model: any bi-encoder. BERT, RoBERTa and XLM-RoBERTa run without padding (`PackedEncoder`), the rest
            in padded batches of similar lengths.
        special: tokens around each text.
        device: e.g. `cpu`, `cuda`.
        dtype: precision of the transformer, `float32`, `bfloat16` or `float16`. Vectors are float32 always.
        token_budget: most tokens of a forward pass, padding included; on a CPU never more than CPU_TOKEN_BUDGET.
        backend: compile the transformer with torch.compile (None: not). It then runs in padded batches in any case.
    """

    def __init__(
        self,
        model: BiEncoder,
        special: SpecialTokens,
        *,
        device: str = "cpu",
        dtype: str = "float32",
        token_budget: int = 16_384,
        backend: CompileBackend | None = None,
    ) -> None:
        place, precision = torch.device(device), getattr(torch, dtype)
        self._forward: PackedEncoder | PaddedEncoder
        if backend is None and PackedEncoder.supports(model):
            self._forward = PackedEncoder(model, device=place, dtype=precision)
        else:
            self._forward = PaddedEncoder(model, special.pad_id, device=place, dtype=precision, backend=backend)
        self._special = special
        self._tokenizer_path, self._tokenizer_files = model.tokenizer_path, model.tokenizer_files
        self._budget = min(token_budget, CPU_TOKEN_BUDGET) if place.type == "cpu" else token_budget
        self.dim = model.dim
        """Width of a vector."""
        self._query_tower: TextEncoder | None = None
        if model.query_tower is not None:
            self._query_tower = TextEncoder(
                model.query_tower, special, device=device, dtype=dtype, token_budget=token_budget, backend=backend
            )

    @property
    def queries(self) -> TextEncoder:
        """What encodes queries: this encoder, or that of the model's tower for them."""
        return self if self._query_tower is None else self._query_tower

    @classmethod
    def load(
        cls,
        folder: Path,
        *,
        device: str = "cpu",
        dtype: str = "float32",
        token_budget: int = 16_384,
        backend: CompileBackend | None = None,
        like: TextEncoder | None = None,
    ) -> TextEncoder:
        """Load a checkpoint folder.

        Args:
            like: another version of the encoder, whose tokenizer is used, too, if it has the same files. Loading one
                takes half of the time of loading an encoder, and no other Python runs meanwhile.

        Raises:
            AnceError: not a checkpoint, or it is damaged.
        """
        model = BiEncoder.load(folder)
        shared = like is not None and like._tokenizer_files == model.tokenizer_files
        tokenizer = like._tokenizer if like is not None and shared else Tokenizer.load(model.tokenizer_path)
        encoder = cls(model, tokenizer.special, device=device, dtype=dtype, token_budget=token_budget, backend=backend)
        encoder._tokenizer = tokenizer
        if encoder.queries._tokenizer_files == encoder._tokenizer_files:
            encoder.queries._tokenizer = tokenizer
        return encoder

    def encode_rows(
        self,
        tokens: Ragged,
        start: int,
        stop: int,
        max_tokens: int,
        should_stop: Callable[[], bool] | None = None,
        on_batch: Callable[[int, int, float], None] | None = None,
        on_out_of_memory: Callable[[], None] | None = None,
    ) -> NDArray[np.float32]:
        """Vectors of rows [start, stop), float32 [stop - start, dim] in row order. See `encode_rows_at`."""
        rows = np.arange(start, stop)
        return self.encode_rows_at(tokens, rows, max_tokens, should_stop, on_batch, on_out_of_memory)

    def encode_rows_at(
        self,
        tokens: Ragged,
        rows: NDArray[np.int64],
        max_tokens: int,
        should_stop: Callable[[], bool] | None = None,
        on_batch: Callable[[int, int, float], None] | None = None,
        on_out_of_memory: Callable[[], None] | None = None,
    ) -> NDArray[np.float32]:
        """Vectors of any rows, in their order.

        Args:
            tokens: content tokens, without special tokens.
            rows: int64 [n].
            max_tokens: longest text, special tokens included; content is cut to fit.
            should_stop: asked before each batch.
            on_batch: told after each batch how many rows and tokens it had and how many seconds it took.
            on_out_of_memory: told of each batch that did not fit the device's memory; it is encoded in halves.

        Returns:
            float32 [n, dim].

        Raises:
            EncodingStopped: `should_stop` said so.
            torch.OutOfMemoryError: not even one row fits.
        """
        lengths = text_lengths(tokens, rows, self._special, max_tokens)
        vectors = np.empty((len(rows), self.dim), np.float32)
        waiting = token_budget_batches(lengths, self._budget)[::-1]
        while waiting:
            if should_stop is not None and should_stop():
                raise EncodingStopped
            batch = waiting.pop()
            began = time.perf_counter()
            try:
                vectors[batch] = self._forward(*pack(tokens, rows[batch], self._special, max_tokens)).cpu().numpy()
            except torch.OutOfMemoryError:
                # Another process on the device may have taken memory since the budget was chosen.
                if len(batch) == 1:
                    raise
                if on_out_of_memory is not None:
                    on_out_of_memory()
                waiting += [batch[len(batch) // 2 :], batch[: len(batch) // 2]]
                continue
            if on_batch is not None:
                on_batch(len(batch), int(lengths[batch].sum()), time.perf_counter() - began)
        return vectors

    @cached_property
    def _tokenizer(self) -> Tokenizer:
        return Tokenizer.load(self._tokenizer_path)

    def encode_texts(self, texts: Sequence[str], max_tokens: int) -> NDArray[np.float32]:
        """Vectors of live texts, float32 [n, dim]; `max_tokens` counts special tokens, too."""
        content = self._tokenizer.encode(texts, max_tokens)
        offsets = np.cumsum([0, *map(len, content)])
        tokens = Ragged(np.fromiter(chain.from_iterable(content), np.int64, offsets[-1]), offsets)
        return self.encode_rows(tokens, 0, len(texts), max_tokens)

    def count_tokens(self, texts: Sequence[str], max_tokens: int) -> int:
        """Tokens that `encode_texts` gives the model for these texts, special ones included."""
        around = len(self._special.prefix) + len(self._special.suffix)
        return sum(min(len(ids) + around, max_tokens) for ids in self._tokenizer.encode(texts, max_tokens))
