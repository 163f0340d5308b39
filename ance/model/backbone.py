"""The transformer inside a bi-encoder: finding it, loading it cleanly, keeping its first layers, saving it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from inspect import isclass, signature
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError
from safetensors.torch import save
from torch import nn
from transformers import CONFIG_MAPPING, MODEL_MAPPING, AutoConfig, PretrainedConfig, PreTrainedModel
from transformers.utils import logging as transformers_logging

from ance.errors import AnceError

WEIGHTS, TORCH_WEIGHTS, CONFIG = "model.safetensors", "pytorch_model.bin", "config.json"
_OF_EACH_LAYER = ("layer_types", "attention_window")
"""Settings that architectures have as a list with a value a layer."""


def resolve(name_or_path: str, key: str = "model.name_or_path") -> Path:
    """The folder of a model: `name_or_path` itself, or the Hugging Face cache's copy of the model of that name.

    Args:
        name_or_path: a Hugging Face id or a folder.
        key: the setting that it comes from, for errors.

    Raises:
        AnceError: neither a folder nor a model that the cache holds or the hub gives.
    """
    folder = Path(name_or_path)
    if folder.is_dir():
        return folder
    if folder.is_file():
        raise AnceError(
            f"model '{name_or_path}': is a file: let {key} name a folder that has the weights as {WEIGHTS} or "
            f"{TORCH_WEIGHTS}, {CONFIG} and a tokenizer"
        )
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        folder = Path(snapshot_download(name_or_path, allow_patterns=["*.json", "*.txt", "*.model", "*.safetensors"]))
        # Weights released before there were safetensors, of the whole model or of single modules.
        needless = [str(path.relative_to(folder).with_name(TORCH_WEIGHTS)) for path in folder.rglob("*.safetensors")]
        snapshot_download(name_or_path, allow_patterns=[f"*{TORCH_WEIGHTS}"], ignore_patterns=needless)
        return folder
    except (HFValidationError, HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise AnceError(
            f"model '{name_or_path}': no such folder, and not a Hugging Face model that is cached or reachable "
            f"from here: correct {key}"
        ) from error


def load_backbone(folder: Path, layers: int | None = None) -> PreTrainedModel:
    """Load a Hugging Face encoder in float32, without its pooler, in evaluation mode.

    Attention is transformers' default, which is SDPA wherever the architecture has it.

    Args:
        folder: holds config.json and safetensors weights.
        layers: keep only the first N transformer layers (None: all).

    Raises:
        AnceError: no encoder there, too few layers, or weights that do not fit.
    """
    backbone, missing = load_transformer(folder, "an encoder", encoder_class, layers)
    # Weights that the file has and the encoder does not need (a pooler, an LM head, dropped layers) are no error.
    if missing:
        raise AnceError(f"{folder}: {WEIGHTS} lacks {len(missing)} weights of the encoder, e.g. {missing[0]}")
    return backbone


def load_transformer(
    folder: Path,
    what: str,
    architecture: Callable[[PretrainedConfig, Path], type[PreTrainedModel]],
    layers: int | None = None,
    **config_changes: Any,
) -> tuple[PreTrainedModel, list[str]]:
    """Load a model of transformers in float32, and name the weights that its file lacks, sorted.

    Args:
        folder: holds config.json and safetensors weights.
        what: the kind of model, for errors.
        architecture: the class to load for a configuration.
        layers: keep only the first N transformer layers (None: all).
        config_changes: attributes of the configuration to change.

    Raises:
        AnceError: no such model there, too few layers, or weights that do not fit.
    """
    try:
        config = read_config(folder, **config_changes)
        keep_layers(config, layers, folder)
        wanted = architecture(config, folder)
        with quiet():
            loaded: Any = wanted.from_pretrained(
                folder,
                config=config,
                dtype=torch.float32,
                use_safetensors=True,
                local_files_only=True,
                output_loading_info=True,
                **pooler_switch(wanted),
            )
    # transformers asserts what a configuration says of each layer, such as the windows of a Longformer.
    except (OSError, ValueError, RuntimeError, AssertionError, SafetensorError) as error:
        raise AnceError(f"{folder}: cannot load {what}: {' '.join(str(error).split())}") from error
    loaded[0].config.architectures = [wanted.__name__]
    return loaded[0], sorted(loaded[1]["missing_keys"])


def read_config(folder: Path, architecture: str | None = None, **changes: Any) -> PretrainedConfig:
    """The configuration of a model of transformers.

    Args:
        folder: holds config.json.
        architecture: by its name in transformers, where the file does not say: before transformers 2.4 none did.
        changes: attributes to change.

    Raises:
        AnceError: the file does not say which architecture, and neither does `architecture`.
        OSError, ValueError: there is no such file, it is damaged, or of an architecture that is not known.
    """
    if not (folder / CONFIG).is_file():
        raise FileNotFoundError(f"there is no {CONFIG}")
    values, _ = PretrainedConfig.get_config_dict(folder, local_files_only=True)
    if "model_type" in values:
        return cast(PretrainedConfig, AutoConfig.from_pretrained(folder, local_files_only=True, **changes))
    if architecture is None:
        raise AnceError(f'{folder / CONFIG}: does not name its architecture: add it, e.g. "model_type": "bert"')
    return CONFIG_MAPPING[architecture].from_dict(values, **changes)


def save_backbone(backbone: PreTrainedModel, folder: Path) -> None:
    """Write config.json and the weights. The same weights give the same bytes."""
    backbone.config.to_json_file(folder / CONFIG)
    save_weights(backbone, folder)


def save_weights(module: nn.Module, folder: Path) -> None:
    """Write a module's parameters to `folder`. Other users may read the file, unlike safetensors' own."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in module.state_dict().items()}
    (folder / WEIGHTS).write_bytes(save(tensors, metadata={"format": "pt"}))


def pooler_switch(encoder: type[PreTrainedModel]) -> dict[str, Any]:
    """The argument that leaves out BERT's pooler, which no bi-encoder uses; empty where there is none."""
    return {"add_pooling_layer": False} if "add_pooling_layer" in signature(encoder).parameters else {}


def position_offset(backbone: PreTrainedModel) -> int:
    """Position id of a text's first token: 0 in BERT, pad_token_id + 1 in RoBERTa and its relatives."""
    for module in backbone.modules():
        padding = getattr(module, "padding_idx", None)
        if isinstance(padding, int) and isinstance(getattr(module, "position_embeddings", None), nn.Embedding):
            return padding + 1
    return 0


def longest_text(backbone: PreTrainedModel) -> int | None:
    """Most tokens of a text, special tokens included (None: the architecture sets no limit)."""
    positions = getattr(backbone.config, "max_position_embeddings", None)
    return positions - position_offset(backbone) if isinstance(positions, int) and positions > 0 else None


@torch.no_grad()
def reads_ahead(backbone: PreTrainedModel) -> bool:
    """Whether a text's first hidden state depends on its other tokens. In a decoder it does not."""
    ids = torch.tensor([[3, 4, 5], [3, 6, 7]])
    first = backbone(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state[:, 0]
    return not torch.allclose(first[0], first[1], atol=1e-5)


def keep_layers(config: PretrainedConfig, layers: int | None, folder: Path) -> None:
    """Let a configuration have only its first N layers (None: all).

    Raises:
        AnceError: it has fewer.
    """
    if layers is None:
        return
    if layers > config.num_hidden_layers:
        raise AnceError(f"{folder}: has {config.num_hidden_layers} layers, model.layers asks for {layers}")
    config.num_hidden_layers = layers
    for setting in _OF_EACH_LAYER:
        if isinstance(values := getattr(config, setting, None), list):
            setattr(config, setting, values[:layers])


def encoder_class(config: PretrainedConfig, folder: Path) -> type[PreTrainedModel]:
    """The encoder of an architecture.

    Raises:
        AnceError: it is none of texts.
    """
    encoder = MODEL_MAPPING.get(type(config), None)
    if not isclass(encoder) or config.is_encoder_decoder:
        raise AnceError(f"{folder}: '{config.model_type}' is not an encoder of texts: choose e.g. a BERT model")
    return encoder


@contextmanager
def quiet() -> Iterator[None]:
    """No progress bar, and no report about weights that are left out on purpose."""
    verbosity, bars = transformers_logging.get_verbosity(), transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity(logging.ERROR)
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        transformers_logging.set_verbosity(verbosity)
        if bars:
            transformers_logging.enable_progress_bar()  # type: ignore[no-untyped-call]
