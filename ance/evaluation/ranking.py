"""What a system returns for the queries of a split."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Ranking:
    """Passage rows and scores by rank for every query of a split, int64 and float32 [Q, k], padded with -1."""

    ids: NDArray[np.int64]
    scores: NDArray[np.float32]
