"""The bi-encoder: turns queries and passages into vectors that are compared by inner product."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from ance.errors import AnceError
from ance.model.backbone import longest_text, pooler_switch, reads_ahead, save_backbone, save_weights
from ance.model.config import ModelConfig
from ance.model.head import ProjectionHead, to_vectors
from ance.model.layout import Layout, Pooling, Tower, has_towers, module_folders, write_router
from ance.model.pretrained import load_modules, load_pretrained
from ance.model.tokenizer_files import read_tokenizer_files


class BiEncoder(nn.Module):
    """Transformer, pooling, and optionally the projection head and normalisation.

    It encodes passages, and queries too (ANCE), unless it has a tower for them (DPR): `queries` is what encodes them.

    Args:
        backbone: any Hugging Face encoder whose output has `last_hidden_state` [B, L, hidden].
        pooling: first token, or mean over the text's tokens.
        projection_dim: width of a new head, drawn with torch's global generator (None: no head).
        normalize: scale vectors to unit length.
        max_tokens: longest text, special tokens included; saved, so that sentence-transformers cuts there too.
        tokenizer_path: folder with the tokenizer's files. They are read at once: `save` needs no other folder.
        query_tower: encodes queries (None: this one does).

    Raises:
        AnceError: the vectors of the two towers differ in width.
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
        query_tower: BiEncoder | None = None,
    ) -> None:
        super().__init__()
        hidden_dim = int(backbone.config.hidden_size)
        self.backbone = backbone
        self.head = ProjectionHead(hidden_dim, projection_dim) if projection_dim is not None else None
        self.layout = Layout(pooling, hidden_dim, projection_dim, normalize, max_tokens)
        self.tokenizer_path = tokenizer_path
        self.query_tower = query_tower
        if query_tower is not None and query_tower.dim != self.dim:
            raise AnceError(f"vectors of queries have {query_tower.dim} dimensions, those of passages {self.dim}")
        self.tokenizer_files = read_tokenizer_files(tokenizer_path)

    @classmethod
    def start(cls, config: ModelConfig) -> BiEncoder:
        """The model that a run begins with: a pre-trained encoder, its first layers kept, and its head or a new one.

        Raises:
            AnceError: there is no such encoder, it does not take texts as long as the settings say, or makes vectors
                in another way than they say.
        """
        if config.shared:
            return cls._start(config, None, config.name_or_path, ("max_query_tokens", "max_passage_tokens"))
        state = torch.get_rng_state()
        name = config.query_name_or_path or config.name_or_path
        queries = cls._start(config, "query", name, ("max_query_tokens",))
        torch.set_rng_state(state)  # new heads begin alike, or queries and passages would begin as strangers
        return cls._start(config, "document", config.name_or_path, ("max_passage_tokens",), queries)

    @classmethod
    def _start(
        cls,
        config: ModelConfig,
        tower: Tower | None,
        name_or_path: str,
        limits: tuple[str, ...],
        query_tower: BiEncoder | None = None,
    ) -> BiEncoder:
        """One tower; `limits` are the settings of how long its texts may be. It is saved with the last."""
        found = load_pretrained(name_or_path, tower, config.layers)
        longest = longest_text(found.backbone)
        for key in limits:
            limit = getattr(config, key)
            if longest is not None and limit > longest:
                raise AnceError(f"model.{key} is {limit}, but {name_or_path} takes at most {longest} tokens: lower it")
        if found.layout is not None:
            _check_vectors(config, found.layout, name_or_path)
        if config.pooling == "cls" and not reads_ahead(found.backbone):
            raise AnceError(
                f"{name_or_path} is a decoder: its first token knows nothing of the others, so that all texts have one "
                "vector: set model.pooling: mean, or choose an encoder, e.g. a BERT model"
            )
        width = None if found.head is None else len(found.head["linear.weight"])
        if width is not None and width != config.projection_dim:
            raise AnceError(
                f"{name_or_path} has a head of width {width}, without which its vectors mean nothing: "
                f"set model.projection_dim: {width}"
            )
        model = cls(
            found.backbone,
            pooling=config.pooling,
            projection_dim=config.projection_dim,
            normalize=config.normalize,
            max_tokens=limit,
            tokenizer_path=found.folder,
            query_tower=query_tower,
        )
        model._take_head(found.head)
        return model.eval()

    @classmethod
    def load(cls, folder: Path) -> BiEncoder:
        """Load a checkpoint, or any sentence-transformers folder with the same kinds of modules.

        Raises:
            AnceError: not such a folder, or it is damaged.
        """
        return cls._load(folder, "document", cls._load(folder, "query") if has_towers(folder) else None)

    @classmethod
    def _load(cls, folder: Path, tower: Tower, query_tower: BiEncoder | None = None) -> BiEncoder:
        found, layout = load_modules(folder, tower)
        model = cls(
            found.backbone,
            pooling=layout.pooling,
            projection_dim=layout.projection_dim,
            normalize=layout.normalize,
            max_tokens=layout.max_tokens,
            tokenizer_path=found.folder,
            query_tower=query_tower,
        )
        model._take_head(found.head)
        return model.eval()

    def _take_head(self, weights: dict[str, Tensor] | None) -> None:
        """Put weights into the head in place of those that were drawn (None: keep those)."""
        if self.head is None or weights is None:
            return
        try:
            self.head.load_state_dict(weights)
        except RuntimeError as error:
            raise AnceError(f"{self.tokenizer_path}: its head does not fit: {' '.join(str(error).split())}") from error

    def save(self, folder: Path) -> None:
        """Write a folder that `load` and `sentence_transformers.SentenceTransformer` both give the same vectors from.

        The same model gives the same bytes. With two towers, sentence-transformers takes the queries' in its
        `encode_query`.

        Raises:
            AnceError: the model came without a tokenizer.
        """
        if self.query_tower is None:
            self._save_tower(folder)
        else:
            self.query_tower.save(folder / "query")
            self._save_tower(folder / "document")
            write_router(folder)

    def _save_tower(self, folder: Path) -> None:
        if not self.tokenizer_files:
            raise AnceError(f"{self.tokenizer_path}: no tokenizer files here, and a checkpoint needs them")
        folder.mkdir(parents=True, exist_ok=True)
        # Without the switch sentence-transformers would draw a random pooler and warn about it.
        self.layout.write(folder, pooler_switch(type(self.backbone)))
        save_backbone(self.backbone, folder)
        if self.head is not None:
            modules = module_folders(folder)
            save_weights(nn.ModuleDict({"linear": self.head.linear}), modules["Dense"])
            save_weights(nn.ModuleDict({"norm": self.head.norm}), modules["LayerNorm"])
        for name, content in self.tokenizer_files.items():
            (folder / name).write_bytes(content)

    @property
    def queries(self) -> BiEncoder:
        """What encodes queries: this model, or its tower for them."""
        return self if self.query_tower is None else self.query_tower

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
        return self._vectors(attention_mask, input_ids=input_ids)

    def encode_groups(self, groups: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
        """Vectors of several padded batches one after the other, for training: the same as `forward` gives.

        The embeddings of all tokens are looked up at once. On the way back every look-up makes a gradient of the whole
        table, which has more rows than a batch has tokens.

        Args:
            groups: ids and mask of each batch, int64 [B, L] as for `forward`.

        Returns:
            float32 [sum of B, dim].
        """
        tokens = torch.cat([input_ids.flatten() for input_ids, _ in groups])
        embeddings: Tensor = self.backbone.get_input_embeddings()(tokens)
        parts = torch.split(embeddings, [mask.numel() for _, mask in groups])
        vectors = (
            self._vectors(mask, inputs_embeds=part.view(*mask.shape, -1))
            for part, (_, mask) in zip(parts, groups, strict=True)
        )
        return torch.cat(list(vectors))

    def _vectors(self, attention_mask: Tensor, **inputs: Tensor) -> Tensor:
        hidden = self.backbone(**inputs, attention_mask=attention_mask).last_hidden_state
        if self.layout.pooling == "cls":
            pooled = hidden[:, 0].float()
        else:
            mask = attention_mask.unsqueeze(-1).float()  # (B, L, 1)
            pooled = (hidden.float() * mask).sum(1) / mask.sum(1)
        return to_vectors(pooled, self.head, self.layout.normalize)


def _check_vectors(config: ModelConfig, layout: Layout, name_or_path: str) -> None:
    """That settings which may have been forgotten are those of the model that a run starts from."""
    if config.pooling != layout.pooling:
        raise AnceError(
            f"{name_or_path} pools by '{layout.pooling}' (its Pooling module), and means nothing by "
            f"'{config.pooling}': set model.pooling: {layout.pooling}"
        )
    has_new_head = config.projection_dim is not None and layout.projection_dim is None
    if layout.normalize and not config.normalize and not has_new_head:
        raise AnceError(
            f"{name_or_path} compares by cosine (its Normalize module, or its similarity_fn_name), for which it was "
            "trained: set model.normalize: true"
        )
