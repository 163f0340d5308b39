"""The same bits from the same seed, on a GPU too."""

import os

import torch

from ance.errors import AnceError

WORKSPACE = "CUBLAS_WORKSPACE_CONFIG"


def be_deterministic() -> None:
    """Have this process use deterministic algorithms only, from now on. To be called before anything is on a GPU.

    Raises:
        AnceError: the environment asks cuBLAS for a workspace with which it is not deterministic.
    """
    # The two sizes with which cuBLAS is deterministic, as its documentation says under "results reproducibility".
    workspace = os.environ.setdefault(WORKSPACE, ":4096:8")
    if workspace not in (":4096:8", ":16:8"):
        raise AnceError(
            f"training.deterministic: environment variable {WORKSPACE} is '{workspace}': unset it, or set it to :4096:8"
        )
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.benchmark = False
