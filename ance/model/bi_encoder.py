"""The bi-encoder: one transformer that turns queries and passages alike into vectors, compared by inner product."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import PreTrainedModel

from ance.errors import AnceError
from ance.model.backbone import (
    WEIGHTS,
    load_backbone,
    longest_text,
    pooler_switch,
    resolve,
    save_backbone,
    save_weights,
)
from ance.model.config import ModelConfig
from ance.model.layout import Layout, Pooling, module_folders

TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "sentencepiece.bpe.model",
    "spiece.model",
)


class ProjectionHead(nn.Module):
    """The head of the original ANCE: LayerNorm(Linear(x)), [B, hidden] -> [B, projection_dim]."""

    def __init__(self, hidden_dim: int, projection_dim: int) -> None:
        super().__init__()
        self.linear = nn.Linear(hidden_dim, projection_dim)
        # torch's default eps, which is also what sentence-transformers' LayerNorm has.
        self.norm = nn.LayerNorm(projection_dim)

    def forward(self, pooled: Tensor) -> Tensor:
        return cast(Tensor, self.norm(self.linear(pooled)))


class BiEncoder(nn.Module):
    """Transformer, pooling, and optionally the projection head and normalisation.

    Args:
        backbone: any Hugging Face encoder whose output has `last_hidden_state` [B, L, hidden].
        pooling: first token, or mean over the text's tokens.
        projection_dim: width of a new head, drawn with torch's global generator (None: no head).
        normalize: scale vectors to unit length.
        max_tokens: longest text, special tokens included; saved, so that sentence-transformers cuts there too.
        tokenizer_path: folder with the tokenizer's files. They are read at once: `save` needs no other folder.
    """

    def __init__(
        self,
        backbone: PreTrainedModel,
        *,
        pooling: Pooling = "cls",
        projection_dim: int | None = None,
        normalize: bool = False,
        max_tokens: int | None = None,
        tokenizer_path: Path,
    ) -> None:
        super().__init__()
        hidden_dim = int(backbone.config.hidden_size)
        self.backbone = backbone
        self.head = ProjectionHead(hidden_dim, projection_dim) if projection_dim is not None else None
        self.layout = Layout(pooling, hidden_dim, projection_dim, normalize, max_tokens)
        self.tokenizer_path = tokenizer_path
        self._tokenizer_files = {
            name: (tokenizer_path / name).read_bytes() for name in TOKENIZER_FILES if (tokenizer_path / name).is_file()
        }

    @classmethod
    def start(cls, config: ModelConfig) -> BiEncoder:
        """The model that a run begins with: a pre-trained encoder, its first layers kept, and a new head.

        Raises:
            AnceError: there is no such encoder, or it does not take texts as long as the settings say.
        """
        folder = resolve(config.name_or_path)
        folder = module_folders(folder)["Transformer"] if (folder / "modules.json").exists() else folder
        backbone = load_backbone(folder, config.layers)
        limit = longest_text(backbone)
        for key in ("max_query_tokens", "max_passage_tokens"):
            if limit is not None and getattr(config, key) > limit:
                raise AnceError(
                    f"model.{key} is {getattr(config, key)}, but {config.name_or_path} takes at most {limit} tokens: "
                    "lower it"
                )
        model = cls(
            backbone,
            pooling=config.pooling,
            projection_dim=config.projection_dim,
            normalize=config.normalize,
            max_tokens=config.max_passage_tokens,
            tokenizer_path=folder,
        )
        return model.eval()

    @classmethod
    def load(cls, folder: Path) -> BiEncoder:
        """Load a checkpoint, or any sentence-transformers folder with the same kinds of modules.

        Raises:
            AnceError: not such a folder, or it is damaged.
        """
        layout = Layout.read(folder)
        modules = module_folders(folder)
        model = cls(
            load_backbone(modules["Transformer"]),
            pooling=layout.pooling,
            projection_dim=layout.projection_dim,
            normalize=layout.normalize,
            max_tokens=layout.max_tokens,
            tokenizer_path=modules["Transformer"],
        )
        if model.head is not None:
            model.head.linear.load_state_dict(_unprefixed(modules["Dense"], "linear."))
            model.head.norm.load_state_dict(_unprefixed(modules["LayerNorm"], "norm."))
        return model.eval()

    def save(self, folder: Path) -> None:
        """Write a folder that `load` and `sentence_transformers.SentenceTransformer` both give the same vectors from.

        The same model gives the same bytes.

        Raises:
            AnceError: the model came without a tokenizer.
        """
        if not self._tokenizer_files:
            raise AnceError(f"{self.tokenizer_path}: no tokenizer files here, and a checkpoint needs them")
        folder.mkdir(parents=True, exist_ok=True)
        # Without the switch sentence-transformers would draw a random pooler and warn about it.
        self.layout.write(folder, pooler_switch(type(self.backbone)))
        save_backbone(self.backbone, folder)
        if self.head is not None:
            modules = module_folders(folder)
            save_weights(nn.ModuleDict({"linear": self.head.linear}), modules["Dense"])
            save_weights(nn.ModuleDict({"norm": self.head.norm}), modules["LayerNorm"])
        for name, content in self._tokenizer_files.items():
            (folder / name).write_bytes(content)

    @property
    def dim(self) -> int:
        """Width of a vector."""
        return self.layout.projection_dim or self.layout.hidden_dim

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Vectors of a padded batch.

        Args:
            input_ids: int64 [B, L], special tokens included, padded on the right.
            attention_mask: int64 [B, L], 1 for tokens, 0 for padding.

        Returns:
            float32 [B, dim], whatever the precision of the transformer.
        """
        hidden = self.backbone(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        if self.layout.pooling == "cls":
            pooled = hidden[:, 0].float()
        else:
            mask = attention_mask.unsqueeze(-1).float()  # (B, L, 1)
            pooled = (hidden.float() * mask).sum(1) / mask.sum(1)
        return to_vectors(pooled, self.head, self.layout.normalize)


def to_vectors(pooled: Tensor, head: ProjectionHead | None, normalize: bool) -> Tensor:
    """What follows pooling: float32 [B, hidden] -> float32 [B, dim], the head and unit length as asked for."""
    vectors = pooled if head is None else head(pooled).float()
    return F.normalize(vectors, dim=-1) if normalize else vectors


def _unprefixed(folder: Path, prefix: str) -> dict[str, torch.Tensor]:
    """Weights of one layer that sentence-transformers wraps in a module."""
    return {name.removeprefix(prefix): tensor for name, tensor in load_file(folder / WEIGHTS).items()}
