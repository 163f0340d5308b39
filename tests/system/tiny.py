"""A run small enough for a test: a random two-layer BERT, word-salad passages, all real processes."""

import json
import random
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from transformers import BertConfig, BertModel, BertTokenizerFast

from ance.data.answers import write_answers
from ance.data.dataset import Dataset

WORDS = [f"{first}{second}" for first in "bcdfglmnprst" for second in ("an", "el", "im", "or", "ut")]
PASSAGES, TRAIN, DEV, TEST = 240, 96, 24, 24


def write_encoder(folder: Path, words: Sequence[str] = WORDS) -> Path:
    """A Hugging Face folder of a random BERT and a tokenizer that knows the words."""
    folder.mkdir(parents=True)
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words]
    (folder / "vocab.txt").write_text("\n".join(vocabulary))
    BertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder)
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
    )
    BertModel(config, add_pooling_layer=False).save_pretrained(folder)
    return folder


def write_beir(folder: Path, passages: int = PASSAGES) -> Path:
    """Passages of random words; a query is three words of its passage."""
    rng = random.Random(7)
    (folder / "qrels").mkdir(parents=True)
    texts = [rng.sample(WORDS, 8) for _ in range(passages)]
    lines = ({"_id": f"p{row}", "title": "", "text": " ".join(words)} for row, words in enumerate(texts))
    (folder / "corpus.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    queries, first = [], 0
    for split, size in (("train", TRAIN), ("dev", DEV), ("test", TEST)):
        rows = range(first, first + size)
        queries += [{"_id": f"q{row}", "text": " ".join(rng.sample(texts[row], 3))} for row in rows]
        judged = "".join(f"q{row}\tp{row}\t1\n" for row in rows)
        (folder / "qrels" / f"{split}.tsv").write_text("query-id\tcorpus-id\tscore\n" + judged)
        first += size
    (folder / "queries.jsonl").write_text("".join(json.dumps(line) + "\n" for line in queries))
    return folder


def with_answers(dataset: Dataset, folder: Path, answers: Mapping[int, Sequence[str]]) -> Dataset:
    """A copy of a data set whose training queries have answers, by row; those not named have none."""
    shutil.copytree(dataset.folder, folder, dirs_exist_ok=True)
    ids = dataset.queries("train").ids
    write_answers(folder / "queries" / "train", ids, {ids[row]: found for row, found in answers.items()})
    return Dataset.open(folder)


def config(encoder: Path, **changes: Any) -> dict[str, Any]:
    """A run of 20 warm-up and 60 ANCE steps; the bound on the async gap paces it by its refreshes."""
    return {
        "run": "tiny",
        "dataset": "salad",
        "model": {"name_or_path": str(encoder), "pooling": "mean", "max_query_tokens": 8, "max_passage_tokens": 16},
        "training": {
            "batch_size": 8,
            "optimizer": "adamw",
            "checkpoint_steps": 5,
            "max_async_gap": 10,
            "warmup": {"steps": 20, "learning_rate": 1e-3, "negatives": "bm25"},
            "ance": {"steps": 60, "learning_rate": 1e-3, "negatives": "ance"},
        },
        "negatives": {"candidates": 20, "sample": 5},
        "encoding": {"shard_size": 40},
        **changes,
    }


def write_config(path: Path, values: dict[str, Any]) -> Path:
    """The configuration as a YAML file."""
    path.write_text(yaml.safe_dump(values, sort_keys=False))
    return path
