"""The sentence-transformers folder layout: which modules turn a text into a vector, as JSON files.

    modules.json, config_sentence_transformers.json, sentence_bert_config.json
    config.json, model.safetensors, tokenizer files         the transformer
    1_Pooling/
    2_Dense/, 3_LayerNorm/                                  the head, if there is one
    2_Normalize/ or 4_Normalize/                            if vectors have unit length

With two towers, `query/` and `document/` are such folders, and sentence-transformers' Router goes by the text's role:

    modules.json, config_sentence_transformers.json, router_config.json
    query/, document/

Modules and settings go by their names in sentence-transformers 2, which every later version reads.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ance.data.tokenizer import Tokenizer
from ance.errors import AnceError

Pooling = Literal["cls", "mean"]
Tower = Literal["query", "document"]
"""By the names that sentence-transformers has for them: a document is what is a passage here."""

_MODULES = "modules.json"
_TRANSFORMER = "sentence_bert_config.json"
_ROUTER = "router_config.json"
_SETTINGS = "config_sentence_transformers.json"
_PROMPTS = ("query", "document", "passage", "corpus")
"""Names of those that sentence-transformers puts before queries and documents unasked."""
_ORDERS = [
    ["Transformer", "Pooling", *head, *end] for head in ([], ["Dense", "LayerNorm"]) for end in ([], ["Normalize"])
]


@dataclass(frozen=True, slots=True)
class Layout:
    """What a bi-encoder is, apart from its weights and its tokenizer."""

    pooling: Pooling
    hidden_dim: int
    """Width of the transformer."""
    projection_dim: int | None
    """Width of the head's vectors (None: no head)."""
    normalize: bool
    """Whether vectors have unit length. They are compared by inner product here, so it stands for cosine, too."""
    max_tokens: int | None
    """Longest text in tokens, special tokens included (None: as many as the transformer takes)."""

    @classmethod
    def read(cls, folder: Path, tower: Tower = "document") -> Layout:
        """Read a folder written by `write`, or by sentence-transformers with the same kinds of modules.

        Of a folder with two towers, read one.

        Raises:
            AnceError: no such folder, or one whose vectors this project would compute differently.
        """
        folders = module_folders(folder, tower)
        if list(folders) not in _ORDERS:
            raise AnceError(
                f"{folder / _MODULES}: found {', '.join(folders)}: only Transformer, Pooling, then optionally "
                "Dense with LayerNorm, then optionally Normalize make a bi-encoder here; use another model, or the "
                "files of its transformer alone, in a folder of their own"
            )
        pooling = _read(folders["Pooling"] / "config.json")
        dense = _read(folders["Dense"] / "config.json") if "Dense" in folders else {}
        if dense and not _is_linear(dense):
            raise AnceError(
                f"{folders['Dense']}: only a Dense module of the pooled vector, with a bias, no activation and no "
                "residual, is supported: use another model"
            )
        settings = _read_settings(folder)
        return cls(
            pooling=_pooling_mode(pooling, folders["Pooling"]),
            hidden_dim=pooling.get("word_embedding_dimension") or pooling["embedding_dimension"],
            projection_dim=dense.get("out_features"),
            normalize="Normalize" in folders or settings.get("similarity_fn_name") == "cosine",
            max_tokens=_read_transformer(folders["Transformer"]).get("max_seq_length"),
        )

    def write(self, folder: Path, model_arguments: dict[str, Any]) -> None:
        """Write every JSON file but the transformer's own config.json.

        Args:
            model_arguments: what the transformer's class must be loaded with.
        """
        settings: dict[str, dict[str, Any]] = {
            "Transformer": {},
            "Pooling": {
                "word_embedding_dimension": self.hidden_dim,
                "pooling_mode_cls_token": self.pooling == "cls",
                "pooling_mode_mean_tokens": self.pooling == "mean",
            },
        }
        if self.projection_dim is not None:
            settings["Dense"] = {
                "in_features": self.hidden_dim,
                "out_features": self.projection_dim,
                "bias": True,
                # Left out, sentence-transformers applies tanh.
                "activation_function": "torch.nn.modules.linear.Identity",
            }
            settings["LayerNorm"] = {"dimension": self.projection_dim}
        if self.normalize:
            settings["Normalize"] = {}
        modules = []
        for i, kind in enumerate(settings):
            path = f"{i}_{kind}" if i else ""
            modules.append({"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"})
            if path:
                (folder / path).mkdir(exist_ok=True)
                _write(folder / path / "config.json", settings[kind])
        _write(folder / _MODULES, modules)
        _write(folder / _SETTINGS, {"similarity_fn_name": "dot"})
        transformer = {"max_seq_length": self.max_tokens, "do_lower_case": False}
        _write(folder / _TRANSFORMER, transformer | ({"model_args": model_arguments} if model_arguments else {}))


def write_router(folder: Path) -> None:
    """Make one sentence-transformers model of the towers in `query/` and `document/`.

    `encode_query` and `encode_document` take the tower of that name, `encode` the document's.
    """
    kinds: dict[str, str] = {}
    structure: dict[Tower, list[str]] = {}
    towers: tuple[Tower, ...] = ("query", "document")
    for tower in towers:
        modules = _read(folder / tower / _MODULES)
        paths = [f"{tower}/{module['path']}".rstrip("/") for module in modules]
        kinds |= {path: module["type"] for path, module in zip(paths, modules, strict=True)}
        structure[tower] = paths
    parameters = {"default_route": "document", "allow_empty_key": True}
    _write(folder / _ROUTER, {"types": kinds, "structure": structure, "parameters": parameters})
    router = {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Router"}
    _write(folder / _MODULES, [router])
    _write(folder / _SETTINGS, {"similarity_fn_name": "dot"})


def is_modular(folder: Path) -> bool:
    """Whether a folder is one of sentence-transformers."""
    return (folder / _MODULES).is_file()


def has_towers(folder: Path) -> bool:
    """Whether a sentence-transformers folder has an encoder of queries and another of documents."""
    return (folder / _ROUTER).is_file() and {"query", "document"} <= _read(folder / _ROUTER)["structure"].keys()


def module_folders(folder: Path, tower: Tower = "document") -> dict[str, Path]:
    """Kind of module (`Transformer`, `Pooling`, ...) -> its folder, in the order they are applied.

    Args:
        tower: whose modules, where there are two.

    Raises:
        AnceError: not a sentence-transformers folder.
    """
    if not is_modular(folder):
        raise AnceError(f"{folder}: no {_MODULES} here: not a checkpoint and not a sentence-transformers folder")
    if has_towers(folder):
        router = _read(folder / _ROUTER)
        modules = [(router["types"][path], path) for path in router["structure"][tower]]
    else:
        modules = [(module["type"], module["path"]) for module in _read(folder / _MODULES)]
    folders = {_kind(kind): folder / path for kind, path in modules}
    if len(folders) < len(modules):
        found = ", ".join(_kind(kind) for kind, _ in modules)
        raise AnceError(f"{folder / _MODULES}: found {found}: a module may come once; use another model")
    return folders


def _is_linear(dense: dict[str, Any]) -> bool:
    """Whether a Dense module is a linear layer alone. Settings that are left out are those of sentence-transformers."""
    places = {dense.get(f"module_{place}_name") for place in ("input", "output")}
    return (
        dense.get("activation_function", "").endswith(".Identity")
        and dense.get("bias", True)
        and not dense.get("use_residual", False)
        and places <= {None, "sentence_embedding"}
    )


def _kind(module: str) -> str:
    return module.rsplit(".", 1)[-1]


def _pooling_mode(settings: dict[str, Any], folder: Path) -> Pooling:
    modes = {"pooling_mode_cls_token": "cls", "pooling_mode_mean_tokens": "mean"}
    old_style = [modes.get(key, key) for key, used in settings.items() if key.startswith("pooling_mode_") and used]
    mode = settings.get("pooling_mode", old_style[0] if len(old_style) == 1 else old_style)
    if mode == "cls":
        return "cls"
    if mode == "mean":
        return "mean"
    raise AnceError(f"{folder}: pools by {mode}: only 'cls' and 'mean' are supported")


def _read_settings(folder: Path) -> dict[str, Any]:
    """What holds for the whole model; empty where it says nothing."""
    path = folder / _SETTINGS
    settings: dict[str, Any] = _read(path) if path.is_file() else {}
    prompts = settings.get("prompts") or {}
    used = {name: prompts[name] for name in (*_PROMPTS, settings.get("default_prompt_name")) if prompts.get(name)}
    if used:
        raise AnceError(
            f"{path}: puts prompts before texts, {json.dumps(used)}, which is not done here, so that vectors would be "
            "others: use another model, or write them into the texts of a data set and take `prompts` out of the file"
        )
    return settings


def _read_transformer(folder: Path) -> dict[str, Any]:
    """Settings of the Transformer module; empty where it has none."""
    path = folder / _TRANSFORMER
    settings: dict[str, Any] = _read(path) if path.is_file() else {}
    if settings.get("do_lower_case") and not Tokenizer.load(folder).lowers_case:
        raise AnceError(
            f"{path}: do_lower_case is true, but the tokenizer keeps upper case, and alone decides here: give it the "
            "normalizer Lowercase, and save it as tokenizer.json"
        )
    return settings


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise AnceError(f"{path}: cannot be read ({error}): fetch or save the model again") from error


def _write(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n")
