"""The cross-encoder: one transformer that reads query and passage together and gives the pair one score."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Self, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING, PretrainedConfig, PreTrainedModel

from ance.errors import AnceError
from ance.model.backbone import load_transformer, longest_text, resolve, save_backbone
from ance.model.batching import token_budget_batches
from ance.model.encoding import CPU_TOKEN_BUDGET, EncodingStopped
from ance.model.layout import module_folders
from ance.model.pairs import PairBatch, PairTokenizer
from ance.model.tokenizer_files import read_tokenizer_files

_TOKENIZER_CONFIG = "tokenizer_config.json"
WHAT = "a cross-encoder"


class CrossEncoder(nn.Module):
    """A transformer with a head of one logit, in transformers' layout for sequence classification.

    What `save` writes, `sentence_transformers.CrossEncoder(folder)` loads and gives the same scores. Scores are
    logits: any number, larger is more relevant, comparable between the passages of one query.

    Args:
        backbone: a sequence classifier with one label.
        folder: holds the tokenizer's files. They are read at once: `save` needs no other folder.
        max_tokens: longest pair, special tokens included.
        token_budget: most tokens of a forward pass of `score`, padding included.
    """

    def __init__(
        self, backbone: PreTrainedModel, folder: Path, *, max_tokens: int, token_budget: int = CPU_TOKEN_BUDGET
    ) -> None:
        super().__init__()
        self.backbone = backbone
        limit = longest_text(backbone)
        self.tokenizer = PairTokenizer(folder, max_tokens if limit is None else min(max_tokens, limit))
        self._token_budget = token_budget
        self._tokenizer_files = read_tokenizer_files(folder)

    @classmethod
    def start(cls, model_path: str, layers: int | None = None, max_tokens: int = 256) -> Self:
        """A pre-trained encoder with a new head, drawn with torch's global generator, to be trained.

        Args:
            model_path: a Hugging Face id or folder; of a sentence-transformers folder the encoder is used.
            layers: keep only the first N transformer layers (None: all).
            max_tokens: longest pair, special tokens included.

        Raises:
            AnceError: there is no such encoder, or it has too few layers.
        """
        folder = resolve(model_path)
        folder = module_folders(folder)["Transformer"] if (folder / "modules.json").exists() else folder
        backbone, missing = load_transformer(folder, WHAT, _classifier_class, layers, num_labels=1)
        inside = f"{backbone.base_model_prefix}."
        if lost := [name for name in missing if name.startswith(inside) and ".pooler." not in name]:
            raise AnceError(f"{folder}: lacks {len(lost)} weights of the encoder, e.g. {lost[0]}")
        return cls(backbone, folder, max_tokens=max_tokens).eval()

    @classmethod
    def load(
        cls,
        folder: Path,
        device: str = "cpu",
        dtype: str = "float32",
        max_tokens: int = 256,
        token_budget: int = CPU_TOKEN_BUDGET,
    ) -> Self:
        """Load what `save` wrote, or any Hugging Face cross-encoder with one logit.

        Args:
            folder: holds config.json, safetensors weights and the tokenizer.
            device: e.g. `cpu`, `cuda`.
            dtype: precision of the forward pass, `float32`, `bfloat16` or `float16`. Scores are float32 always.
            max_tokens: longest pair, special tokens included; less where the model takes or was trained with less.
            token_budget: most tokens of a forward pass, padding included.

        Raises:
            AnceError: no such model there, or one with another number of logits.
        """
        backbone, missing = load_transformer(folder, WHAT, _classifier_class, num_labels=1)
        if missing:
            raise AnceError(f"{folder}: no cross-encoder, it lacks {len(missing)} weights, e.g. {missing[0]}")
        model = cls(backbone, folder, max_tokens=min(max_tokens, _saved_limit(folder)), token_budget=token_budget)
        nn.Module.to(model, device=torch.device(device), dtype=getattr(torch, dtype))
        return model.eval()

    def save(self, folder: Path) -> None:
        """Write the model. The same model gives the same bytes."""
        folder.mkdir(parents=True, exist_ok=True)
        # Left out, sentence-transformers applies a sigmoid.
        self.backbone.config.sentence_transformers = {"activation_fn": "torch.nn.modules.linear.Identity"}
        save_backbone(self.backbone, folder)
        for name, content in self._tokenizer_files.items():
            (folder / name).write_bytes(content)
        settings = json.loads(self._tokenizer_files.get(_TOKENIZER_CONFIG, b"{}"))
        settings["model_max_length"] = self.tokenizer.max_tokens  # where sentence-transformers cuts a pair
        (folder / _TOKENIZER_CONFIG).write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")

    def forward(self, batch: PairBatch) -> Tensor:
        """Scores of a batch of pairs on the model's device, float32 [B]."""
        segments = {} if batch.token_type_ids is None else {"token_type_ids": batch.token_type_ids}
        output = self.backbone(input_ids=batch.input_ids, attention_mask=batch.attention_mask, **segments)
        return cast(Tensor, output.logits[:, 0].float())

    def score(
        self, query_text: str, passage_texts: Sequence[str], should_stop: Callable[[], bool] | None = None
    ) -> NDArray[np.float32]:
        """How relevant each passage is to the query, float32 [n] in the order given.

        Args:
            query_text: one query.
            passage_texts: n passages.
            should_stop: asked before each batch.

        Raises:
            EncodingStopped: `should_stop` said so.
        """
        return self.score_pairs([(query_text, passage) for passage in passage_texts], should_stop)

    def score_pairs(
        self, texts: Sequence[tuple[str, str]], should_stop: Callable[[], bool] | None = None
    ) -> NDArray[np.float32]:
        """How relevant the passage of each pair (query, passage) is to its query. See `score`."""
        pairs = self.tokenizer.encode(texts)
        scores = np.empty(len(pairs), np.float32)
        device = next(self.parameters()).device
        for rows in token_budget_batches(np.array([len(pair.ids) for pair in pairs], np.int64), self._token_budget):
            if should_stop is not None and should_stop():
                raise EncodingStopped
            batch = self.tokenizer.collate([pairs[row] for row in rows.tolist()])
            with torch.inference_mode():
                scores[rows] = self(batch.to(device)).cpu().numpy()
        return scores


def _saved_limit(folder: Path) -> int:
    """The longest pair that a tokenizer's settings allow."""
    path = folder / _TOKENIZER_CONFIG
    settings = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return int(settings.get("model_max_length", sys.maxsize))


def _classifier_class(config: PretrainedConfig, folder: Path) -> type[PreTrainedModel]:
    classifier = MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING.get(type(config), None)
    if not isinstance(classifier, type):
        raise AnceError(f"{folder}: '{config.model_type}' makes no cross-encoder: choose e.g. a BERT model")
    return classifier
