"""torch.compile, for transformers: fewer and larger kernels, at the price of a pause when a new shape is met first."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

from ance.errors import AnceError
from ance.model.config import CompileBackend


def require_compiler(backend: CompileBackend, device: str | torch.device, key: str) -> None:
    """Try the compiler, which needs more than torch: a C++ compiler for a CPU, Triton and a C compiler for a GPU.

    Args:
        backend: what to try.
        device: where the model runs.
        key: the setting that asks for it, for errors.

    Raises:
        AnceError: it does not work here; says why.
    """
    try:
        torch.compile(lambda x: 2 * x + 1, backend=backend, dynamic=True)(torch.ones(8, device=device))
    except (RuntimeError, ImportError, OSError, KeyError) as error:
        reason = " ".join(str(error).split())[:300]
        raise AnceError(
            f"{key}: {backend} does not work on {device} here: {reason}. It needs a C++ compiler (g++), on a GPU Triton"
            f" and a C compiler, and a folder to write to (TORCHINDUCTOR_CACHE_DIR): install them, or leave {key} out"
        ) from error


def compile_in_place(modules: Iterable[nn.Module], backend: CompileBackend) -> None:
    """Let modules be compiled at their first call. They stay what they are: names of weights do not change.

    Their sizes are not fixed: batches of any shape run the same code, and so does the next checkpoint of the model.
    """
    for module in modules:
        module.compile(backend=backend, dynamic=True)
