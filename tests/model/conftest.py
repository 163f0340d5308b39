"""Tiny encoders with random weights and a real word-piece tokenizer, made in process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer as Backend
from tokenizers.models import WordLevel
from tokenizers.normalizers import Lowercase
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing
from transformers import (
    AutoModel,
    BertConfig,
    DistilBertConfig,
    PretrainedConfig,
    PreTrainedTokenizerFast,
    RobertaConfig,
    XLMRobertaConfig,
)

from ance.data.ragged import Ragged
from ance.model.bi_encoder import BiEncoder
from ance.model.config import ModelConfig

WORDS = [f"word{i}" for i in range(90)]
IDS = torch.randint(4, 94, (3, 9), generator=torch.Generator().manual_seed(0))
"""Three texts of nine tokens, none of them special."""
MASK = torch.ones_like(IDS)
TEXTS = [
    " ".join(WORDS[(i * 7 + j * j) % 90] for j in range(length)) for i, length in enumerate([3, 11, 3, 0, 25, 1, 40])
]

_SMALL = {
    "vocab_size": 100,
    "hidden_size": 24,
    "num_hidden_layers": 3,
    "num_attention_heads": 3,
    "intermediate_size": 40,
    "max_position_embeddings": 40,
}
CONFIGS: dict[str, Callable[[], PretrainedConfig]] = {
    "bert": lambda: BertConfig(**_SMALL, pad_token_id=0),
    "bert-tanh": lambda: BertConfig(**_SMALL, pad_token_id=0, hidden_act="gelu_new"),
    "roberta": lambda: RobertaConfig(**_SMALL, pad_token_id=1, type_vocab_size=1),
    "xlm-roberta": lambda: XLMRobertaConfig(**_SMALL, pad_token_id=1, type_vocab_size=1),
    "distilbert": lambda: DistilBertConfig(
        vocab_size=100, dim=24, n_layers=3, n_heads=3, hidden_dim=40, max_position_embeddings=40, pad_token_id=0
    ),
}

ModelFolder = Callable[[str], Path]
Start = Callable[..., BiEncoder]


def _write_tokenizer(folder: Path, pad_id: int) -> None:
    special = ["[PAD]", "[CLS]"] if pad_id == 0 else ["[CLS]", "[PAD]"]
    vocabulary = {token: i for i, token in enumerate([*special, "[SEP]", "[UNK]", *WORDS])}
    backend = Backend(WordLevel(vocabulary, unk_token="[UNK]"))
    backend.normalizer = Lowercase()
    backend.pre_tokenizer = Whitespace()
    backend.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]",
        special_tokens=[("[CLS]", vocabulary["[CLS]"]), ("[SEP]", vocabulary["[SEP]"])],
    )
    PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token="[PAD]", cls_token="[CLS]", sep_token="[SEP]", unk_token="[UNK]"
    ).save_pretrained(folder)


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> ModelFolder:
    """kind of architecture -> a Hugging Face folder with a random model, its pooler, and a tokenizer."""
    made: dict[str, Path] = {}

    def folder(kind: str) -> Path:
        if kind not in made:
            torch.manual_seed(0)
            config = CONFIGS[kind]()
            model = AutoModel.from_config(config)
            with torch.no_grad():
                for parameter in model.parameters():
                    # Far from initial values, where every bias is 0 and every norm is 1.
                    parameter.add_(torch.randn_like(parameter) * 0.1)
            made[kind] = tmp_path_factory.mktemp(kind)
            model.save_pretrained(made[kind])
            _write_tokenizer(made[kind], config.pad_token_id)
        return made[kind]

    return folder


def started(folder: Path, **settings: object) -> BiEncoder:
    """What a run would begin with, of the model in a folder, for short texts."""
    limits = {"name_or_path": str(folder), "max_query_tokens": 16, "max_passage_tokens": 32}
    return BiEncoder.start(ModelConfig.model_validate(limits | settings))


@pytest.fixture(scope="session")
def start(model_folder: ModelFolder) -> Start:
    """start(kind, **settings) -> BiEncoder."""

    def make(kind: str = "bert", **settings: object) -> BiEncoder:
        torch.manual_seed(1)
        return started(model_folder(kind), **settings)

    return make


@pytest.fixture
def tokens() -> Ragged:
    """Content tokens of 40 texts of 0 to 45 tokens, lengths in no order."""
    rng = np.random.default_rng(5)
    lengths = rng.integers(0, 46, 40)
    lengths[:4] = [45, 0, 7, 7]
    return Ragged(rng.integers(4, 94, lengths.sum()).astype(np.uint16), np.cumsum([0, *lengths]))
