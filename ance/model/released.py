"""Weights in layouts that transformers does not load as an encoder: checkpoints as ANCE and DPR were released.

    roberta.*, embeddingHead.*, norm.*                          ANCE, FirstP and MaxP: one encoder and its head
    question_model.*, ctx_model.*                               DPR's original state dict, and ANCE's of OpenQA
    question_encoder.bert_model.* or ctx_encoder.bert_model.*   DPR in transformers, a folder a tower

Any of them may lie within others: `module.*` of DataParallel, `ance_encoder.*` of castorini's. Where an encoder is in a
state dict, its word embeddings say: what comes before their name is its prefix. A head is one if it stands beside the
encoder or around it, its norm beside it. State dicts are safetensors, or what torch reads with `weights_only`; no
pickled object is ever made.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor
from transformers import BertConfig, PretrainedConfig

from ance.errors import AnceError
from ance.model.backbone import TORCH_WEIGHTS, WEIGHTS, read_config
from ance.model.layout import Tower

StateDict = dict[str, Tensor]

_WORDS = "embeddings.word_embeddings.weight"
_LINEAR = "embeddingHead."
_HEAD = {_LINEAR: "linear.", "norm.": "norm."}
_OF_TOWER = {"query": "question_", "document": "ctx_"}
_OLD_NORM = {"LayerNorm.gamma": "LayerNorm.weight", "LayerNorm.beta": "LayerNorm.bias"}
"""Names in checkpoints that were converted from TensorFlow, and what transformers makes of them."""


class ReleasedWeights(NamedTuple):
    """One tower of a released checkpoint."""

    config: PretrainedConfig
    encoder: StateDict
    """By the names that the encoder itself gives its weights."""
    head: StateDict | None
    """Of `ProjectionHead`; None where there is none."""


def read_released(folder: Path, tower: Tower | None) -> ReleasedWeights | None:
    """The weights of a tower, or of the only encoder there is; None for one that transformers loads as it is.

    Raises:
        AnceError: the weights cannot be read, or are of something else than an encoder of texts.
    """
    names = _names(folder)
    if names is not None and not any(_has_part(name, _LINEAR, *_OF_TOWER.values()) for name in names):
        return None
    if names is None and not (folder / TORCH_WEIGHTS).is_file():
        return None
    weights = read_weights(folder)
    prefix = _prefix(folder, weights, tower)
    owner = _owner(weights, prefix, _LINEAR)
    head = None
    if owner is not None:
        head = {
            ours + name: tensor for theirs, ours in _HEAD.items() for name, tensor in _within(weights, owner + theirs)
        }
    is_ance = head is not None and _has_part(prefix, "roberta.")
    return ReleasedWeights(_config(folder, "roberta" if is_ance else None), dict(_within(weights, prefix)), head)


def _names(folder: Path) -> list[str] | None:
    """Names of the weights in a safetensors file; None where there is none, or it is damaged."""
    try:
        with safe_open(folder / WEIGHTS, "pt") as file:
            return list(file.keys())
    except (OSError, SafetensorError):
        return None


def read_weights(folder: Path) -> StateDict:
    """The weights in a folder, of a whole model or of one module, from `model.safetensors` or `pytorch_model.bin`.

    Raises:
        AnceError: there is neither, it is damaged, or holds more than tensors.
    """
    weights = _read_file(folder)
    for name in list(weights):
        for old, new in _OLD_NORM.items():
            if name.endswith(old):
                weights[name.removesuffix(old) + new] = weights.pop(name)
    return weights


def _read_file(folder: Path) -> StateDict:
    path = folder / WEIGHTS
    if path.is_file():
        try:
            return load_file(path)
        except SafetensorError as error:
            raise AnceError(f"{path}: damaged ({error}): fetch or save it again") from error
    path = folder / TORCH_WEIGHTS
    if not path.is_file():
        raise AnceError(f"{folder}: has neither {WEIGHTS} nor {TORCH_WEIGHTS}: fetch or save it again")
    try:
        # Never without `weights_only`: a pickle runs whatever code it holds.
        state: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # what torch, zipfile and pickle raise for a file that is damaged, or no state dict
        raise AnceError(
            f"{path}: damaged, or holds more than tensors, and then it is not read, because a pickle can run any code: "
            f"save its state dict alone, as {WEIGHTS}, where you trust the file"
        ) from error
    state = state.get("model_dict", state) if isinstance(state, dict) else state
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise AnceError(f"{path}: is no state dict of a model: names and tensors alone are expected")
    return state


def _prefix(folder: Path, weights: StateDict, tower: Tower | None) -> str:
    """What the names of the encoder begin with."""
    prefixes = [name.removesuffix(_WORDS) for name in weights if name.endswith(_WORDS)]
    of_tower = [prefix for prefix in prefixes if tower is not None and _has_part(prefix, _OF_TOWER[tower])]
    if not prefixes:
        raise AnceError(f"{folder}: no weight of an encoder, ...{_WORDS}, among its {len(weights)} weights")
    if len(of_tower or prefixes) > 1:
        raise AnceError(f"{folder}: holds several encoders ({', '.join(prefixes)}): set model.shared: false")
    (prefix,) = of_tower or prefixes
    if tower is not None and _has_part(prefix, *_OF_TOWER.values()) and not of_tower:
        setting = "query_name_or_path" if tower == "query" else "name_or_path"
        raise AnceError(f"{folder}: holds '{prefix}' alone, not the {tower} encoder: correct model.{setting}")
    if _owner(weights, prefix, "encode_proj.") is not None:
        raise AnceError(f"{folder}: has a projection without a norm after it, which is not supported")
    return prefix


def _has_part(name: str, *parts: str) -> bool:
    """Whether a module's name, or one of the modules around it, begins with one of `parts`."""
    return any(f".{part}" in f".{name}" for part in parts)


def _owner(weights: StateDict, prefix: str, module: str) -> str | None:
    """Prefix of what has a module of this name and the encoder of this prefix in it; None where there is none."""
    owners = {name.partition(module)[0] for name in weights if _has_part(name, module)}
    return next((owner for owner in sorted(owners) if prefix.startswith(owner)), None)


def _within(weights: StateDict, prefix: str) -> Iterator[tuple[str, Tensor]]:
    """The weights of a module, by its own names."""
    return ((name.removeprefix(prefix), tensor) for name, tensor in weights.items() if name.startswith(prefix))


def _config(folder: Path, architecture: str | None) -> PretrainedConfig:
    try:
        config = read_config(folder, architecture)
    except (OSError, ValueError) as error:
        raise AnceError(f"{folder}: no configuration of an encoder: {' '.join(str(error).split())}") from error
    if config.model_type != "dpr":
        return config
    # A DPR encoder is a BERT that goes by another name.
    own = BertConfig().to_dict().keys() - {"model_type", "architectures", "transformers_version"}
    return BertConfig(**{name: value for name, value in config.to_dict().items() if name in own})
