"""The files of a model's tokenizer, which go with its weights from folder to folder."""

from pathlib import Path

NAMES = (
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


def read_tokenizer_files(folder: Path) -> dict[str, bytes]:
    """Name -> content of those that a folder has."""
    return {name: (folder / name).read_bytes() for name in NAMES if (folder / name).is_file()}
