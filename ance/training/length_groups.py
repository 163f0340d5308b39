"""Which texts of a batch share a forward pass: padding costs as much as text."""

import numpy as np
from numpy.typing import NDArray

from ance.negatives.sampling import Rows


def length_groups(lengths: NDArray[np.int64], least_saving: int) -> list[Rows]:
    """Cut a batch by length wherever a cut saves at least `least_saving` tokens of padding.

    Args:
        lengths: tokens of each text, int64 [B].
        least_saving: what a forward pass more costs, in tokens.

    Returns:
        Positions into `lengths`, each once, shorter texts first.
    """
    return _cut(np.argsort(lengths, kind="stable"), lengths, least_saving)


def _cut(ordered: Rows, lengths: NDArray[np.int64], least_saving: int) -> list[Rows]:
    below = np.arange(1, len(ordered))  # rows in the shorter group, for every cut there is
    saving = below * (lengths[ordered[-1]] - lengths[ordered[:-1]])
    if not len(saving) or saving.max() < least_saving:
        return [ordered]
    best = int(saving.argmax()) + 1
    return [
        *_cut(ordered[:best], lengths, least_saving),
        *_cut(ordered[best:], lengths, least_saving),
    ]
