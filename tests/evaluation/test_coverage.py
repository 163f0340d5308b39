"""Coverage@k on a corpus of four passages."""

import json
from pathlib import Path

import numpy as np
import pytest

from ance.data.dataset import Dataset
from ance.data.prepare import prepare
from ance.data.sources.beir import Beir
from ance.data.tokenizer import Tokenizer
from ance.errors import AnceError
from ance.evaluation.coverage import coverage, first_answer_ranks
from tests.system.tiny import write_encoder

PASSAGES = ["The crisis began in October 1973.", "Oil, and more oil.", "OPEC met in Vienna.", "Nothing of note."]
ANSWERS = [["1973", "October"], ["Vienna"], [], ["Paris"]]


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    passages = [{"_id": f"p{row}", "title": "Paris", "text": text} for row, text in enumerate(PASSAGES)]
    (tmp_path / "corpus.jsonl").write_text("".join(json.dumps(line) + "\n" for line in passages))
    queries = [{"_id": f"q{row}", "text": "what"} for row in range(4)]
    (tmp_path / "queries.jsonl").write_text("".join(json.dumps(line) + "\n" for line in queries))
    answers = [{"_id": f"q{row}", "answers": known} for row, known in enumerate(ANSWERS) if known]
    (tmp_path / "answers.jsonl").write_text("".join(json.dumps(line) + "\n" for line in answers))
    (tmp_path / "qrels").mkdir()
    judged = "".join(f"q{row}\tp0\t1\n" for row in range(4))
    (tmp_path / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n" + judged)
    prepare(Beir(tmp_path), Tokenizer.load(write_encoder(tmp_path / "encoder")), tmp_path / "dataset")
    return Dataset.open(tmp_path / "dataset")


RANKED = np.array([[3, 1, 0], [2, 1, 0], [0, 1, 2], [0, -1, -1]])


def test_the_rank_is_that_of_the_first_passage_whose_text_holds_an_answer(dataset: Dataset) -> None:
    ranks = first_answer_ranks(dataset.passages, dataset.answers("test"), RANKED)
    assert ranks.tolist() == [3, 1, 0, 0], "the title 'Paris' is no text"


def test_coverage_is_over_the_queries_that_have_answers(dataset: Dataset) -> None:
    found = coverage(dataset.passages, dataset.answers("test"), RANKED, cutoffs=(1, 2, 3))
    assert found == {
        "Coverage@1": pytest.approx(1 / 3),
        "Coverage@2": pytest.approx(1 / 3),
        "Coverage@3": pytest.approx(2 / 3),
    }


def test_passages_below_the_last_cutoff_are_not_read(dataset: Dataset) -> None:
    beyond_the_corpus = np.array([[3, 1, 99]])
    assert coverage(dataset.passages, [["1973"]], beyond_the_corpus, cutoffs=(1, 2)) == {
        "Coverage@1": 0.0,
        "Coverage@2": 0.0,
    }


def test_without_any_answer_there_is_no_coverage(dataset: Dataset) -> None:
    with pytest.raises(AnceError, match="none of the 1 queries has an answer"):
        coverage(dataset.passages, [[]], RANKED[:1])
