"""A model small enough to train in milliseconds, and texts of random tokens."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertModel

from ance.data.qrels import Qrels
from ance.data.ragged import Ragged
from ance.data.tokenizer import SpecialTokens
from ance.model.bi_encoder import BiEncoder
from ance.model.layout import Pooling
from ance.negatives.sources import RandomNegatives
from ance.retrieval.bm25 import BM25
from ance.training.batches import TrainingBatches
from ance.training.config import LexicalTeacherConfig, StageConfig, TrainingConfig
from ance.training.lexical_teacher import LexicalTeacher
from ance.training.step import TrainingTexts

VOCABULARY, QUERIES, PASSAGES = 50, 16, 40
STAGE = StageConfig(steps=10, learning_rate=1e-3, negatives="random")


def random_texts(rng: np.random.Generator, rows: int, longest: int) -> Ragged:
    lengths = rng.integers(1, longest + 1, rows)
    tokens = rng.integers(3, VOCABULARY, lengths.sum()).astype(np.uint16)
    return Ragged(tokens, np.concatenate([[0], np.cumsum(lengths)]))


def random_training_texts() -> TrainingTexts:
    rng = np.random.default_rng(0)
    queries, passages = random_texts(rng, QUERIES, 5), random_texts(rng, PASSAGES, 40)
    return TrainingTexts(queries, passages, SpecialTokens((1,), (2,), 0), max_query_tokens=6, max_passage_tokens=32)


def small_model(
    folder: Path, *, dropout: float = 0.1, spread: float = 0.02, pooling: Pooling = "cls", longest: int = 32
) -> BiEncoder:
    """The same model at every call, with a head. `spread` is the standard deviation of its weights."""
    torch.manual_seed(7)
    config = BertConfig(
        vocab_size=VOCABULARY,
        hidden_size=16,
        num_hidden_layers=3,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=longest,
        initializer_range=spread,
        hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=dropout,
    )
    encoder = BertModel(config, add_pooling_layer=False)
    return BiEncoder(encoder, pooling=pooling, projection_dim=8, tokenizer_path=folder)


def overlapping_qrels() -> Qrels:
    """Query q has the positives q and q + 1: neighbours share one, so that there is much to mask in a batch."""
    rows = np.repeat(np.arange(QUERIES), 2)
    passages = rows + np.tile([0, 1], QUERIES)
    return Qrels.build(QUERIES, rows, passages, np.ones(2 * QUERIES, dtype=np.int32))


def lexical_teacher(**changes: float) -> LexicalTeacher:
    """BM25 over passages and queries of a few words each."""
    rng = np.random.default_rng(4)
    words = [f"word{place}" for place in range(20)]
    passages, queries = (
        [" ".join(rng.choice(words, rng.integers(1, longest))) for _ in range(rows)]
        for rows, longest in ((PASSAGES, 12), (QUERIES, 4))
    )
    return LexicalTeacher(LexicalTeacherConfig(**changes), BM25.build(passages), queries.__getitem__)


@pytest.fixture
def texts() -> TrainingTexts:
    return random_training_texts()


@pytest.fixture
def new_model(tmp_path: Path) -> Callable[[], BiEncoder]:
    """Makes the same model, with dropout on and a head, at every call."""
    return partial(small_model, tmp_path)


@pytest.fixture
def configured() -> Callable[..., TrainingConfig]:
    def make(**changes: object) -> TrainingConfig:
        settings = {
            "batch_size": 4,
            "gradient_accumulation": 2,
            "negatives_per_query": 2,
            "weight_decay": 0.01,
        }
        return TrainingConfig(warmup=STAGE, ance=STAGE, **(settings | changes))

    return make


@pytest.fixture
def qrels() -> Qrels:
    return overlapping_qrels()


@pytest.fixture
def negatives(qrels: Qrels) -> RandomNegatives:
    return RandomNegatives(PASSAGES, qrels)


@pytest.fixture
def stream(qrels: Qrels, configured: Callable[..., TrainingConfig]) -> TrainingBatches:
    return TrainingBatches(qrels, configured())
