"""Faiss on a GPU: the `gpu` extra (faiss-gpu) and a CUDA device."""

from __future__ import annotations

from functools import cache
from typing import Any

import faiss

from ance.errors import AnceError
from ance.retrieval.faiss_errors import reason

DEVICE = 0
TEMPORARY_BYTES = 256 << 20
"""Scratch memory of Faiss on the GPU; its default takes gigabytes that the encoder needs."""


def gpus() -> int:
    """GPUs that Faiss can use: 0 with faiss-cpu."""
    return int(faiss.get_num_gpus())


def to_gpu(index: faiss.Index) -> faiss.Index:
    """A copy of an index in the memory of the first GPU, with its search-time parameters. The original may go.

    Raises:
        AnceError: Faiss sees no GPU, has no such index for GPUs (HNSW, RaBitQ), or the GPU is full.
    """
    if not gpus():
        raise AnceError("no GPU for Faiss: install the extra `gpu` on a machine with CUDA, or serve from the CPU")
    try:
        return faiss.index_cpu_to_gpu(_resources(), DEVICE, index)
    except RuntimeError as error:
        kind = type(faiss.downcast_index(index)).__name__
        raise AnceError(f"index {kind} cannot be put on the GPU, serve it from the CPU: {reason(error)}") from error


# One for the process: every index holds its scratch memory, and two would compete for the device (faiss#4718).
@cache
def _resources() -> Any:
    resources = faiss.StandardGpuResources()
    resources.setTempMemory(TEMPORARY_BYTES)
    return resources
