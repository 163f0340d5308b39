import gzip
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from ance.data.dataset import Dataset
from ance.data.prepare import prepare
from ance.data.records import Candidate, Invalid, Judgement, Located, Passage, Query, Wording
from ance.data.sources.dpr import Dpr
from ance.data.tokenizer import Tokenizer
from ance.errors import AnceError
from tests.data.conftest import WORDS

Write = Callable[[Mapping[str, Any]], Path]

CORPUS = 'id\ttext\ttitle\n1\t"the cat ""Tom"" sat"\tCats\n2\tthe dog ran\tDogs\n3\tthe fish swam\tFish\n'


def question(
    text: str, positives: Sequence[Any], hard: Sequence[Any] = (), answers: Sequence[str] = ("Tom",)
) -> dict[str, Any]:
    return {
        "dataset": "nq",
        "question": text,
        "answers": answers,
        "positive_ctxs": positives,
        "negative_ctxs": [{"title": "Fish", "text": "x", "passage_id": "3"}],
        "hard_negative_ctxs": hard,
    }


BY_ID = {"title": "Cats", "text": "other", "score": 1000, "passage_id": "1"}
BY_PSG_ID = {"title": "Dogs", "text": "other", "score": 3.5, "psg_id": 2}
BY_TEXT = {"title": "Cats", "text": 'the cat "Tom" sat', "score": 9}
FILES = {
    "psgs_w100.tsv": CORPUS,
    "biencoder-nq-train.json": [question("who sat", [BY_ID, BY_PSG_ID], [BY_PSG_ID]), question("who", [BY_TEXT])],
    "biencoder-nq-dev.json.gz": [question("who swam", [BY_PSG_ID])],
    "nq-test.qa.csv": 'who ran\t[\'the dog\', "dog\'s"]\nwho swam\t"[""fish""]"\n',
}


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a folder of files: a text as it is, anything else as JSON; compressed if its name says so."""

    def files(contents: Mapping[str, Any]) -> Path:
        folder = tmp_path / "openqa"
        folder.mkdir(exist_ok=True)
        for name, content in contents.items():
            raw = (content if isinstance(content, str) else json.dumps(content, indent=1)).encode()
            (folder / name).write_bytes(gzip.compress(raw) if name.endswith(".gz") else raw)
        return folder

    return files


def records(iterator: Any) -> list[Any]:
    return [one.record for one in iterator if isinstance(one, Located)]


def test_passages_with_quotes_and_a_header_are_read(write: Write) -> None:
    first, *_ = Dpr(write(FILES)).passages()
    assert first == Located(Passage("1", "Cats", 'the cat "Tom" sat', ("Cats", 'the cat "Tom" sat')), "psgs_w100.tsv:2")
    assert len(records(Dpr(write(FILES)).passages())) == 3


def test_all_positives_are_kept_by_id_of_either_name_or_by_title_and_text(write: Write) -> None:
    source = Dpr(write(FILES))
    assert source.splits() == ("train", "dev", "test")
    assert records(source.queries("train"))[0] == Query("nq-train-1", "who sat", ("Tom",))
    assert records(source.judgements("train")) == [
        Judgement("nq-train-1", "1", 2),
        Judgement("nq-train-1", "2", 1),
        Judgement("nq-train-2", Wording('the cat "Tom" sat', "Cats"), 1),
    ]
    assert records(source.candidates("train")) == [Candidate("nq-train-1", "2")]


def test_a_test_set_has_answers_and_no_judgements(write: Write) -> None:
    source = Dpr(write(FILES))
    assert records(source.queries("test")) == [
        Query("nq-test-1", "who ran", ("the dog", "dog's")),
        Query("nq-test-2", "who swam", ("fish",)),
    ]
    assert source.is_judged("dev") and not source.is_judged("test")
    assert records(source.judgements("test")) == []


@pytest.mark.parametrize(
    ("task", "answer"), [("curatedtrec", "regex:8,?850"), ("trec", "regex:8,?850"), ("trecqa", "8,?850")]
)
def test_answers_of_curated_trec_alone_are_patterns(write: Write, task: str, answer: str) -> None:
    source = Dpr(write({"psgs_w100.tsv": CORPUS, f"{task}-test.csv": "how high\t['8,?850']\n"}))
    assert records(source.queries("test")) == [Query(f"{task}-test-1", "how high", (answer,))]


def test_questions_lose_the_question_mark_at_their_end(write: Write) -> None:
    files = {
        "biencoder-nq-train.json": [question("who sat? who?", [BY_ID])],
        "nq-test.qa.csv": "who ran?\t['the dog']\n",
    }
    source = Dpr(write(FILES | files))
    assert [query.text for query in records(source.queries("train"))] == ["who sat? who"]
    assert [query.text for query in records(source.queries("test"))] == ["who ran"]


def test_a_passage_is_encoded_as_a_pair_of_title_and_text(write: Write, tokenizer: Tokenizer, tmp_path: Path) -> None:
    untitled = "4\tthe cat swam\t\n"
    prepare(Dpr(write(FILES | {"psgs_w100.tsv": CORPUS + untitled})), tokenizer, tmp_path / "out")
    passages = Dataset.open(tmp_path / "out").passages
    words = [[WORDS[token] for token in passages.tokens[row].tolist()] for row in (1, 3)]
    assert words == [["[UNK]", "[SEP]", "the", "dog", "ran"], ["the", "cat", "swam"]]
    assert passages.full_text(1) == "Dogs the dog ran"


def test_several_tasks_train_together_and_are_scored_apart(write: Write) -> None:
    trivia = {
        "biencoder-trivia-train.json": [question("who", [BY_ID])],
        "biencoder-trivia-dev.json": [question("whose", [BY_ID])],
        "trivia-test.qa.csv.gz": "who\t['a']\n",
    }
    source = Dpr(write({**FILES, **trivia}))
    assert source.splits() == ("train", "dev", "dev_nq", "dev_trivia", "test_nq", "test_trivia")
    assert [query.id for query in records(source.queries("train"))] == ["nq-train-1", "nq-train-2", "trivia-train-1"]
    assert [query.id for query in records(source.queries("dev_trivia"))] == ["trivia-dev-1"]
    assert source.provenance["files"]["dev"] == ["biencoder-nq-dev.json.gz", "biencoder-trivia-dev.json"]
    assert source.provenance["passage_format"] == "title [SEP] text"
    assert source.provenance["query_format"] == "text without the question mark at its end"


@pytest.mark.parametrize("name", ["nq-dev.qa.csv", "nq-dev.csv.gz"])
def test_questions_that_are_there_as_json_too_are_read_from_it(write: Write, name: str) -> None:
    source = Dpr(write({**FILES, name: "who swam\t['fish']\n"}))
    assert source.splits() == ("train", "dev", "test")
    assert source.provenance["files"]["dev"] == ["biencoder-nq-dev.json.gz"]
    assert records(source.judgements("dev")) == [Judgement("nq-dev-1", "2", 1)]
    assert source.is_judged("dev")


def test_the_data_set_keeps_questions_that_only_have_answers(
    write: Write, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    prepare(Dpr(write(FILES)), tokenizer, tmp_path / "out")
    dataset = Dataset.open(tmp_path / "out")
    assert list(dataset.queries("test").ids) == ["nq-test-1", "nq-test-2"]
    assert list(dataset.answers("test")) == [["the dog", "dog's"], ["fish"]]
    assert dataset.qrels("test").queries == 2 and not len(dataset.qrels("test").passages)
    assert dataset.qrels("train").positives(1).tolist() == [0], "found by its title and text"
    assert dataset.candidates("train").padded().tolist() == [[1], [-1]]
    assert not dataset.has_candidates("dev")
    with pytest.raises(AnceError, match="split 'dev': its source gave no candidates"):
        dataset.candidates("dev")


@pytest.mark.parametrize(
    ("changed", "detail"),
    [
        ({"question": None}, "'question' is missing or no string"),
        ({"answers": "Tom"}, "'answers' is missing or no list of strings"),
        ({"positive_ctxs": {}}, "'positive_ctxs' is no list of objects"),
        ({"hard_negative_ctxs": [{"title": "Cats"}]}, r"'hard_negative_ctxs\[0\]' has neither an id nor a text"),
    ],
)
def test_a_malformed_question_is_reported_with_its_line(write: Write, changed: dict[str, Any], detail: str) -> None:
    folder = write({**FILES, "biencoder-nq-train.json": [question("who", [BY_ID]), question("x", []) | changed]})
    good, malformed = Dpr(folder).queries("train")
    assert isinstance(good, Located) and good.where == "biencoder-nq-train.json:2"
    assert isinstance(malformed, Invalid) and malformed.where.startswith("biencoder-nq-train.json:")
    with pytest.raises(AssertionError, match=detail):
        raise AssertionError(malformed.detail)


@pytest.mark.parametrize(
    ("line", "detail"),
    [
        ("who ran", "expected 2 columns between tabs, question, answers; found 1"),
        ("who ran\tthe dog", "the answers are no list of strings: the dog"),
        ("who ran\t__import__('os')", "the answers are no list of strings: __import__"),
        ("who ran\t[1]", "'answers' is missing or no list of strings"),
        ('who ran\t"[', "a quote is not closed"),
    ],
)
def test_a_malformed_test_question_is_reported(write: Write, line: str, detail: str) -> None:
    (malformed,) = Dpr(write({**FILES, "nq-test.qa.csv": line + "\n"})).queries("test")
    assert isinstance(malformed, Invalid) and malformed.where == "nq-test.qa.csv:1"
    with pytest.raises(AssertionError, match=detail):
        raise AssertionError(malformed.detail)


def test_a_passage_that_is_not_in_the_corpus_stops_the_preparation(
    write: Write, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    train = [question("who", [BY_ID, {"title": "Birds", "text": "a bird"}])]
    with pytest.raises(AnceError, match=r"nq-train.json:2: no passage of the corpus has the text 'a bird'"):
        prepare(Dpr(write({**FILES, "biencoder-nq-train.json": train})), tokenizer, tmp_path / "out")


def test_a_folder_that_lacks_files_is_an_error_that_says_what_belongs_there(write: Write, tmp_path: Path) -> None:
    with pytest.raises(AnceError, match=r"/nowhere: no such folder; expected psgs_w100.tsv, and questions"):
        Dpr(Path("/nowhere"))
    folder = write({"nq-train.json": []})
    with pytest.raises(AnceError, match=r"psgs_w100.tsv is missing"):
        Dpr(folder)
    with pytest.raises(AnceError, match=r"nq-train.json: biencoder-nq-train.json is the train part of 'nq', too"):
        Dpr(write(FILES))
    (folder / "nq-train.json").unlink()
    with pytest.raises(AnceError, match=r"nq-test.qa.csv: nq-test.csv is the test part of 'nq', too"):
        Dpr(write({**FILES, "nq-test.csv": "who\t['a']\n"}))
    for path in folder.glob("*-*"):
        path.unlink()
    with pytest.raises(AnceError, match="holds no questions"):
        Dpr(folder)
