"""A tokenizer and a BEIR folder, both tiny and made in place."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer as Backend
from tokenizers.models import WordLevel
from tokenizers.normalizers import Lowercase
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing

from ance.data.tokenizer import Tokenizer

WORDS = (
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "a",
    "cat",
    "dog",
    "fish",
    "sat",
    "ran",
    "swam",
    "who",
    "the",
    "title",
)
JsonLine = Mapping[str, Any] | str | bytes


def word_backend(words: Sequence[str] = WORDS) -> Backend:
    """A tokenizer that knows a few words, as a BERT tokenizer is built."""
    backend = Backend(WordLevel({word: row for row, word in enumerate(words)}, unk_token="[UNK]"))
    backend.normalizer = Lowercase()
    backend.pre_tokenizer = Whitespace()
    backend.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]",
        special_tokens=[("[CLS]", words.index("[CLS]")), ("[SEP]", words.index("[SEP]"))],
    )
    return backend


@pytest.fixture(scope="session")
def tokenizer() -> Tokenizer:
    return Tokenizer(word_backend(), pad_id=0)


WriteBeir = Callable[..., Path]


@pytest.fixture
def write_beir(tmp_path: Path) -> WriteBeir:
    """Writes a BEIR folder; a line is given as an object, or raw."""

    def write(
        corpus: Sequence[JsonLine] = (
            {"_id": "p1", "title": "title", "text": "The cat sat"},
            {"_id": "p2", "text": "the dog ran"},
            {"_id": "p3", "title": "", "text": "the fish swam"},
        ),
        queries: Sequence[JsonLine] = (
            {"_id": "q1", "text": "who sat"},
            {"_id": "q2", "text": "who ran"},
            {"_id": "q3", "text": "who swam"},
        ),
        qrels: Mapping[str, Sequence[str | bytes]] | None = None,
    ) -> Path:
        folder = tmp_path / "Pets & Co"
        (folder / "qrels").mkdir(parents=True)
        (folder / "corpus.jsonl").write_bytes(_lines(corpus))
        (folder / "queries.jsonl").write_bytes(_lines(queries))
        splits = {"train": ("q1\tp1\t1", "q2\tp2\t1"), "test": ("q3\tp3\t1",)} if qrels is None else qrels
        for split, rows in splits.items():
            content = _lines(["query-id\tcorpus-id\tscore", *rows])
            (folder / "qrels" / f"{split}.tsv").write_bytes(content)
        return folder

    return write


def _lines(lines: Sequence[JsonLine]) -> bytes:
    raw = [json.dumps(line) if isinstance(line, Mapping) else line for line in lines]
    return b"".join((line.encode() if isinstance(line, str) else line) + b"\n" for line in raw)
