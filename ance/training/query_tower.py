"""Training of the queries' side alone, against passages that stay as they are (ADORE, Zhan et al. 2021)."""

from __future__ import annotations

import copy

from ance.model.bi_encoder import BiEncoder


def train_queries_only(model: BiEncoder) -> None:
    """Give queries a tower of their own, a copy of the model where they have none, and freeze that of the passages.

    To be called before the optimiser is made, which takes what is trainable. What is saved has both towers, so it
    encodes passages as before, and needs nobody to remember which checkpoint they were encoded with.
    """
    if model.query_tower is None:
        model.query_tower = copy.deepcopy(model)
    trained = set(model.query_tower.parameters())
    for weight in model.parameters():
        weight.requires_grad_(weight in trained)
