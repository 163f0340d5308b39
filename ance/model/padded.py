"""The forward pass of any bi-encoder over padded batches, for encoding."""

from __future__ import annotations

from copy import deepcopy

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ance.model.batching import pad
from ance.model.bi_encoder import BiEncoder


class PaddedEncoder:
    """Runs a copy of the model whose transformer is converted to the given precision; the head stays float32."""

    def __init__(self, model: BiEncoder, pad_id: int, *, device: torch.device, dtype: torch.dtype) -> None:
        self._model = deepcopy(model).eval().to(device)
        self._model.backbone.to(dtype)
        self._pad_id = pad_id
        self._device = device

    @torch.inference_mode()
    def __call__(self, ids: NDArray[np.int64], lengths: NDArray[np.int64]) -> Tensor:
        """Vectors of texts that lie end to end, as `PackedEncoder` takes them: float32 [n, dim]."""
        batch = pad(ids, lengths, self._pad_id)
        if self._device.type == "cuda":
            batch = [tensor.pin_memory().to(self._device, non_blocking=True) for tensor in batch]
        vectors: Tensor = self._model(*batch)
        return vectors
