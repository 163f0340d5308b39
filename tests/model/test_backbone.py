"""The transformer inside: which ones make a bi-encoder, and what is said of those that do not."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from transformers import AutoModel, GPT2Config, LongformerConfig, PretrainedConfig

from ance.errors import AnceError
from tests.model.conftest import CONFIGS, IDS, MASK, ModelFolder, started

GPT2 = GPT2Config(vocab_size=100, n_embd=24, n_layer=2, n_head=3, n_positions=40, bos_token_id=1, eos_token_id=2)
LONGFORMER = LongformerConfig(
    vocab_size=100,
    hidden_size=24,
    num_hidden_layers=3,
    num_attention_heads=3,
    intermediate_size=40,
    max_position_embeddings=40,
    attention_window=[4, 4, 4],
)


def written(config: PretrainedConfig, folder: Path) -> Path:
    torch.manual_seed(0)
    AutoModel.from_config(config).save_pretrained(folder)
    return folder


@torch.no_grad()
def test_a_decoder_is_refused_where_every_text_would_have_one_vector(tmp_path: Path) -> None:
    folder = written(GPT2, tmp_path)
    with pytest.raises(AnceError, match=r"is a decoder: its first token .* set model\.pooling: mean, or choose"):
        started(folder)
    vectors = started(folder, pooling="mean")(IDS, MASK)
    assert (vectors[0] - vectors[1]).abs().max() > 0.1


@pytest.mark.parametrize("config", [*CONFIGS.values(), lambda: LONGFORMER], ids=[*CONFIGS, "longformer"])
@pytest.mark.parametrize("layers", [1, None])
def test_no_encoder_is_taken_for_a_decoder_untrained_or_cut(
    tmp_path: Path, config: Callable[[], PretrainedConfig], layers: int | None
) -> None:
    started(written(config(), tmp_path), layers=layers)


@torch.no_grad()
def test_what_a_configuration_says_of_each_layer_is_cut_with_the_layers(tmp_path: Path) -> None:
    folder = written(LONGFORMER, tmp_path)
    states = AutoModel.from_pretrained(folder)(IDS, MASK, output_hidden_states=True).hidden_states
    torch.testing.assert_close(started(folder, layers=2)(IDS, MASK), states[2][:, 0])


def test_a_configuration_that_contradicts_itself_is_an_error(tmp_path: Path) -> None:
    path = written(LONGFORMER, tmp_path) / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"attention_window": [4, 4]}))
    with pytest.raises(AnceError, match=r"cannot load an encoder: .*attention_window.* Expected 3, given 2"):
        started(tmp_path)


def test_a_file_is_no_model(model_folder: ModelFolder) -> None:
    checkpoint = model_folder("bert") / "model.safetensors"
    with pytest.raises(
        AnceError, match=r"model\.safetensors': is a file: let model\.name_or_path name a folder that has"
    ):
        started(checkpoint)
