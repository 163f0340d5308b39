"""Query and passage as one input, against transformers' own pairs."""

from pathlib import Path

import numpy as np
import pytest
from transformers import AutoTokenizer

from ance.errors import AnceError
from ance.model.pairs import PairTokenizer
from tests.model.conftest import WORDS, ModelFolder
from tests.system.tiny import write_encoder

PAIRS = [(" ".join(WORDS[:q]), " ".join(WORDS[10 : 10 + p])) for q, p in ((2, 3), (4, 30), (30, 4), (1, 1))]


def test_a_batch_is_that_of_transformers_cut_from_the_longer_text(tmp_path: Path) -> None:
    folder = write_encoder(tmp_path / "encoder", WORDS)
    ours = PairTokenizer(folder, max_tokens=16)
    batch = ours.collate(ours.encode(PAIRS))
    theirs = AutoTokenizer.from_pretrained(folder)(
        [query for query, _ in PAIRS],
        [passage for _, passage in PAIRS],
        padding=True,
        truncation="longest_first",
        max_length=16,
        return_tensors="pt",
    )
    np.testing.assert_array_equal(batch.input_ids, theirs["input_ids"])
    np.testing.assert_array_equal(batch.attention_mask, theirs["attention_mask"])
    np.testing.assert_array_equal(batch.token_type_ids, theirs["token_type_ids"])


def test_a_model_that_tells_no_segments_apart_gets_none(model_folder: ModelFolder) -> None:
    tokenizer = PairTokenizer(model_folder("bert"), max_tokens=16)
    assert tokenizer.collate(tokenizer.encode(PAIRS)).token_type_ids is None


def test_a_folder_without_a_tokenizer_is_named(tmp_path: Path) -> None:
    with pytest.raises(AnceError, match=f"{tmp_path}: no tokenizer could be loaded"):
        PairTokenizer(tmp_path, 16)


def test_a_tokenizer_with_more_tokens_than_the_model_does_not_fit(tmp_path: Path) -> None:
    tokenizer = PairTokenizer(write_encoder(tmp_path / "encoder", WORDS), max_tokens=16)
    tokens = len(WORDS) + 5
    tokenizer.require_fit(tokens)
    with pytest.raises(AnceError, match=f"has {tokens} tokens, but its model only {tokens - 1}: they are not of the"):
        tokenizer.require_fit(tokens - 1)


def test_a_tokenizer_that_runs_query_and_passage_together_does_not_fit(model_folder: ModelFolder) -> None:
    with pytest.raises(AnceError, match=r"puts nothing between the two texts of a pair, such as \[SEP\]"):
        PairTokenizer(model_folder("bert"), max_tokens=16).require_fit(10_000)
