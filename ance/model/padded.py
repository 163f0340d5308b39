"""The forward pass of any bi-encoder over padded batches, for encoding."""

from __future__ import annotations

from copy import deepcopy

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ance.model.batching import pad, to_device
from ance.model.bi_encoder import BiEncoder
from ance.model.compiling import compile_in_place
from ance.model.config import CompileBackend


class PaddedEncoder:
    """Runs a copy of the model whose transformer is converted to the given precision; the head stays float32.

    With a `backend`, the transformer is compiled.
    """

    def __init__(
        self,
        model: BiEncoder,
        pad_id: int,
        *,
        device: torch.device,
        dtype: torch.dtype,
        backend: CompileBackend | None = None,
    ) -> None:
        # As if it were copied already: a tower of queries has an encoder of its own.
        self._model = deepcopy(model, {id(model.query_tower): None}).eval().to(device)
        nn.Module.to(self._model.backbone, dtype)
        if backend is not None:
            compile_in_place([self._model.backbone], backend)
        self._pad_id = pad_id
        self._device = device

    @torch.inference_mode()
    def __call__(self, ids: NDArray[np.int64], lengths: NDArray[np.int64]) -> Tensor:
        """Vectors of texts that lie end to end, as `PackedEncoder` takes them: float32 [n, dim]."""
        input_ids, mask = pad(ids, lengths, self._pad_id)
        vectors: Tensor = self._model(to_device(input_ids, self._device), to_device(mask, self._device))
        return vectors
