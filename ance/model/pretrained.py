"""What a run starts from: an encoder, and the head that belongs to it, out of any of the layouts there are."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers import PreTrainedModel

from ance.errors import AnceError
from ance.model.backbone import (
    WEIGHTS,
    encoder_class,
    keep_layers,
    load_backbone,
    pooler_switch,
    resolve,
)
from ance.model.layout import Tower, has_towers, is_modular, module_folders
from ance.model.released import ReleasedWeights, read_released


class Pretrained(NamedTuple):
    """One tower."""

    backbone: PreTrainedModel
    head: dict[str, Tensor] | None
    """Weights of the head that its vectors go through; None where there is none."""
    folder: Path
    """With the tokenizer's files."""


def load_pretrained(name_or_path: str, tower: Tower | None, layers: int | None = None) -> Pretrained:
    """Load a Hugging Face encoder, a sentence-transformers folder, or a checkpoint as ANCE and DPR were released.

    Args:
        name_or_path: a Hugging Face id or a folder.
        tower: which one, where there may be two (None: the only one).
        layers: keep only the first N transformer layers (None: all).

    Raises:
        AnceError: there is no such encoder, it has too few layers, or there are two and none is named.
    """
    folder = resolve(name_or_path)
    if is_modular(folder):
        if tower is None and has_towers(folder):
            raise AnceError(f"{name_or_path} has one encoder of queries, one of passages: set model.shared: false")
        modules = module_folders(folder, tower or "document")
        return Pretrained(load_backbone(modules["Transformer"], layers), head_of(modules), modules["Transformer"])
    released = read_released(folder, tower)
    if released is None:
        return Pretrained(load_backbone(folder, layers), None, folder)
    return Pretrained(_build(folder, released, layers), released.head, folder)


def head_of(modules: dict[str, Path]) -> dict[str, Tensor] | None:
    """Weights of the head of a sentence-transformers folder, by the names of `ProjectionHead`; None without one.

    Args:
        modules: as `module_folders` gives them.
    """
    if not {"Dense", "LayerNorm"} <= modules.keys():
        return None
    return {**load_file(modules["Dense"] / WEIGHTS), **load_file(modules["LayerNorm"] / WEIGHTS)}


def _build(folder: Path, released: ReleasedWeights, layers: int | None) -> PreTrainedModel:
    config = released.config
    keep_layers(config, layers, folder)
    wanted = encoder_class(config, folder)
    with torch.random.fork_rng(devices=[]):  # what is drawn here is overwritten: a seed draws the same head after it
        backbone: Any = wanted(config, **pooler_switch(wanted))
    try:
        missing = backbone.load_state_dict(released.encoder, strict=False).missing_keys
    except RuntimeError as error:
        raise AnceError(f"{folder}: {' '.join(str(error).split())}") from error
    if missing:
        raise AnceError(f"{folder}: the weights lack {len(missing)} of the encoder, e.g. {missing[0]}")
    config.architectures = [wanted.__name__]
    built: PreTrainedModel = backbone.float().eval()
    return built
