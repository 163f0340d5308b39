"""What a run starts from: an encoder, and the head that belongs to it, out of any of the layouts there are."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from transformers import PreTrainedModel

from ance.errors import AnceError
from ance.model.backbone import encoder_class, keep_layers, load_backbone, pooler_switch, resolve
from ance.model.layout import Layout, Tower, has_towers, is_modular, module_folders
from ance.model.released import ReleasedWeights, read_released, read_weights

_HEAD = ("linear.weight", "linear.bias", "norm.weight", "norm.bias")


class Pretrained(NamedTuple):
    """One tower."""

    backbone: PreTrainedModel
    head: dict[str, Tensor] | None
    """Weights of the head that its vectors go through; None where there is none."""
    folder: Path
    """With the tokenizer's files."""
    layout: Layout | None
    """What a sentence-transformers folder says of its vectors; None for any other, which says nothing."""


def load_pretrained(name_or_path: str, tower: Tower | None, layers: int | None = None) -> Pretrained:
    """Load a Hugging Face encoder, a sentence-transformers folder, or a checkpoint as ANCE and DPR were released.

    Args:
        name_or_path: a Hugging Face id or a folder.
        tower: which one, where there may be two (None: the only one).
        layers: keep only the first N transformer layers (None: all).

    Raises:
        AnceError: there is no such encoder, it has too few layers, its vectors would be computed differently here, or
            there are two and none is named.
    """
    folder = resolve(name_or_path)
    if not is_modular(folder):
        return _load_encoder(folder, tower, layers)
    if tower is None and has_towers(folder):
        raise AnceError(f"{name_or_path} has one encoder of queries, one of passages: set model.shared: false")
    return load_modules(folder, tower or "document", layers)[0]


def load_modules(folder: Path, tower: Tower, layers: int | None = None) -> tuple[Pretrained, Layout]:
    """Load a sentence-transformers folder, or one tower of one that has two, and its layout.

    Raises:
        AnceError: not such a folder, it is damaged, has too few layers, or its vectors would be computed differently
            here.
    """
    layout = Layout.read(folder, tower)
    modules = module_folders(folder, tower)
    transformer = _load_encoder(modules["Transformer"], None, layers)
    return transformer._replace(head=_head_of(modules), layout=layout), layout


def _load_encoder(folder: Path, tower: Tower | None, layers: int | None) -> Pretrained:
    released = read_released(folder, tower)
    if released is None:
        return Pretrained(load_backbone(folder, layers), None, folder, None)
    return Pretrained(_build(folder, released, layers), released.head, folder, None)


def _head_of(modules: dict[str, Path]) -> dict[str, Tensor] | None:
    """Weights of the head of a sentence-transformers folder, by the names of `ProjectionHead`; None without one."""
    if "Dense" not in modules:
        return None
    weights = read_weights(modules["Dense"]) | read_weights(modules["LayerNorm"])
    if weights.keys() != set(_HEAD):
        found = ", ".join(sorted(weights))
        raise AnceError(f"{modules['Dense']} and LayerNorm: expected the weights {', '.join(_HEAD)}; found {found}")
    return weights


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
