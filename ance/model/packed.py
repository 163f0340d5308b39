"""BERT without padding, for encoding: texts lie end to end, and no work is done on tokens that are not there.

Linear layers see all tokens of a batch as one matrix [T, hidden]. Attention runs over each run of texts of the same
length, so it needs no mask. With `cls` pooling the last layer computes the first tokens alone: nothing reads the
others. Inference only; the vectors are those of `BiEncoder.forward`.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import BertModel, RobertaModel, XLMRobertaModel

from ance.model.attention import Attention, attention_for
from ance.model.backbone import position_offset
from ance.model.batching import to_device
from ance.model.bi_encoder import BiEncoder
from ance.model.head import to_vectors
from ance.model.linear import Copy, linear


class Run(NamedTuple):
    """Neighbouring texts of the same length."""

    row: int
    """The first text."""
    rows: int
    token: int
    """The first token."""
    length: int


CPU_ROWS = 128
"""On a CPU, matrix products get a multiple of this many rows, or fewer if that is a power of two: oneDNN compiles a
kernel for each number of rows it meets, which takes longer than the product itself (in bfloat16, three times as long
for 4,096 rows of MiniLM). One query of a search would still cost as much as several if it were filled up to 128."""
FEWEST_CPU_ROWS = 16


class PackedEncoder:
    """The forward pass of a BERT-family bi-encoder, on copies of its weights in the given precision.

    Args:
        model: one that `supports` accepts.
        dtype: precision of the transformer. Pooling and what follows are float32.
    """

    def __init__(self, model: BiEncoder, *, device: torch.device, dtype: torch.dtype) -> None:
        def copy(weights: Tensor) -> Tensor:
            return weights.detach().to(device, dtype, copy=True)

        embeddings: Any = model.backbone.get_submodule("embeddings")
        self._words = copy(embeddings.word_embeddings.weight)
        # Every token is of type 0.
        self._positions = copy(embeddings.position_embeddings.weight + embeddings.token_type_embeddings.weight[0])
        self._norm = _LayerNorm(embeddings.LayerNorm, copy)
        attend = attention_for(device, dtype)
        layers = model.backbone.get_submodule("encoder.layer").children()
        self._layers = [_Layer(layer, copy, attend) for layer in layers]
        self._offset = position_offset(model.backbone)
        self._pooling, self._normalize = model.layout.pooling, model.layout.normalize
        self._head = deepcopy(model.head).to(device) if model.head is not None else None
        self._device = device
        self._rows: Callable[[int], int] = _few_values if device.type == "cpu" else int

    @staticmethod
    def supports(model: BiEncoder) -> bool:
        """Whether this module reproduces the architecture: the encoders BERT, RoBERTa and XLM-RoBERTa."""
        known = type(model.backbone) in (BertModel, RobertaModel, XLMRobertaModel)
        return known and not model.backbone.config.is_decoder

    @torch.inference_mode()
    def __call__(self, ids: NDArray[np.int64], lengths: NDArray[np.int64]) -> Tensor:
        """Vectors of texts.

        Args:
            ids: int64 [T], the texts end to end, special tokens included.
            lengths: int64 [n], tokens of each text. Sorted, runs are long and few.

        Returns:
            float32 [n, dim] on the encoder's device.
        """
        runs = _runs(lengths)
        hidden = self._filled_up(self._embed(ids, lengths))
        for layer in self._layers[:-1]:
            hidden = layer(hidden, runs)
        if self._pooling == "cls":
            starts = np.zeros(self._rows(len(lengths)), np.int64)
            starts[: len(lengths)] = np.cumsum(lengths) - lengths
            pooled = self._layers[-1](hidden, runs, self._move(starts))[: len(lengths)].float()
        else:
            hidden = self._layers[-1](hidden, runs)
            pooled = torch.cat([_texts(hidden, run).mean(1, dtype=torch.float32) for run in runs])
        return to_vectors(pooled, self._head, self._normalize)

    def _filled_up(self, hidden: Tensor) -> Tensor:
        """[T, hidden] with rows of zeros after the texts, so that few values of T occur."""
        return F.pad(hidden, (0, 0, 0, self._rows(len(hidden)) - len(hidden)))

    def _embed(self, ids: NDArray[np.int64], lengths: NDArray[np.int64]) -> Tensor:
        # RoBERTa does not count a padding token, should a text spell one. BERT's offset 0 matches no token.
        padding = self._offset - 1
        counted = ids != padding
        seen = np.cumsum(counted)
        starts = np.cumsum(lengths) - lengths
        positions = (seen - np.repeat(seen[starts] - counted[starts], lengths)) * counted + padding
        words = F.embedding(self._move(ids), self._words)
        return self._norm(words.add_(F.embedding(self._move(positions), self._positions)))

    def _move(self, indices: NDArray[np.int64]) -> Tensor:
        return to_device(torch.from_numpy(indices), self._device)


class _LayerNorm:
    def __init__(self, norm: nn.LayerNorm, copy: Copy) -> None:
        self.weight, self.bias, self.eps = copy(norm.weight), copy(norm.bias), norm.eps

    def __call__(self, x: Tensor) -> Tensor:
        return F.layer_norm(x, self.weight.shape, self.weight, self.bias, self.eps)


class _Layer:
    """One transformer layer, post-norm as in BERT."""

    def __init__(self, layer: Any, copy: Copy, attend: Attention) -> None:
        attention, output = layer.attention, layer.output
        self.heads = attention.self.num_attention_heads
        self.query = linear(copy, attention.self.query)
        self.key_value = linear(copy, attention.self.key, attention.self.value)
        self.project = linear(copy, attention.output.dense)
        self.attention_norm = _LayerNorm(attention.output.LayerNorm, copy)
        self.up = linear(copy, layer.intermediate.dense, activation=layer.intermediate.intermediate_act_fn)
        self.down = linear(copy, output.dense)
        self.norm = _LayerNorm(output.LayerNorm, copy)
        self._attention = attend

    def __call__(self, hidden: Tensor, runs: list[Run], starts: Tensor | None = None) -> Tensor:
        """[T, hidden] -> [T, hidden], or [n, hidden] for the first tokens alone if `starts` names them."""
        key_value = self.key_value(hidden)
        hidden = hidden if starts is None else hidden[starts]
        attended = self._attend(self.query(hidden), key_value, runs, starts is not None)
        hidden = self.attention_norm(self.project.plus(attended, hidden))
        return self.norm(self.down.plus(self.up(hidden), hidden))

    def _attend(self, query: Tensor, key_value: Tensor, runs: list[Run], first: bool) -> Tensor:
        attended = torch.empty_like(query)
        attended[_used_rows(runs, first) :] = 0  # what only fills up
        for run in runs:
            # (rows, heads, length, width); of a first token alone the length is 1.
            q, out = (self._split_heads(flat, run, first) for flat in (query, attended))
            keys_values = _texts(key_value, run).view(run.rows, run.length, 2, self.heads, -1)
            k, v = keys_values.permute(2, 0, 3, 1, 4)
            self._attention(q, k, v, out)
        return attended

    def _split_heads(self, flat: Tensor, run: Run, first: bool) -> Tensor:
        """The tokens of a run, or its first ones alone, as [rows, heads, length, width]."""
        tokens = flat[run.row : run.row + run.rows].unsqueeze(1) if first else _texts(flat, run)
        return tokens.view(*tokens.shape[:2], self.heads, -1).transpose(1, 2)


def _few_values(rows: int) -> int:
    """At least as many, and one of few numbers."""
    if rows >= CPU_ROWS:
        return -(-rows // CPU_ROWS) * CPU_ROWS
    return max(FEWEST_CPU_ROWS, 1 << (rows - 1).bit_length())


def _used_rows(runs: list[Run], first: bool) -> int:
    """Texts of all runs or, unless their first tokens alone are meant, tokens."""
    last = runs[-1]
    return last.row + last.rows if first else last.token + last.rows * last.length


def _texts(flat: Tensor, run: Run) -> Tensor:
    """The texts of a run out of [T, width], as [rows, length, width]."""
    return flat[run.token : run.token + run.rows * run.length].view(run.rows, run.length, -1)


def _runs(lengths: NDArray[np.int64]) -> list[Run]:
    firsts = np.flatnonzero(np.diff(lengths, prepend=-1))
    rows = np.diff(firsts, append=len(lengths))
    tokens = np.cumsum(lengths) - lengths
    return [
        Run(int(row), int(count), int(tokens[row]), int(lengths[row])) for row, count in zip(firsts, rows, strict=True)
    ]
