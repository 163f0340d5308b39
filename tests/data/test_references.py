from pathlib import Path

import pytest

from ance.data.dataset import Dataset
from ance.data.prepare import prepare
from ance.data.records import Wording
from ance.data.references import References, named
from ance.data.sources.beir import Beir
from ance.data.tokenizer import Tokenizer
from tests.data.conftest import WriteBeir


@pytest.fixture
def dataset(write_beir: WriteBeir, tokenizer: Tokenizer, tmp_path: Path) -> Dataset:
    corpus = [
        {"_id": "p1", "title": "title", "text": "the cat sat "},
        {"_id": "p2", "text": "the dog ran"},
        {"_id": "p3", "text": "the cat sat"},
        {"_id": "p4", "text": "the dog ran"},
    ]
    qrels = {"train": ("q1\tp1\t1",)}
    prepare(Beir(write_beir(corpus=corpus, qrels=qrels)), tokenizer, tmp_path / "out")
    return Dataset.open(tmp_path / "out")


def test_a_text_is_found_by_its_id_or_by_title_and_text(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ance.data.references.BATCH", 3)  # the repeated text is in another batch
    asked = ["p2", Wording("the cat sat", "title"), Wording("the cat sat"), "nobody", Wording(" the dog ran ")]
    rows = References(dataset.passages).rows(asked).tolist()
    assert rows == [1, 0, 2, -1, 3], "of two that say the same the last is found"
    assert References(dataset.passages).rows([Wording("the cat", "title"), "p1"]).tolist() == [-1, 0]


def test_a_reference_is_named_for_people() -> None:
    assert named("p1") == "id 'p1'"
    assert named(Wording("short")) == "text 'short'"
    assert named(Wording("x" * 50)) == f"text '{'x' * 40}...'"
