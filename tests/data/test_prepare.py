import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ance.data.dataset import Dataset
from ance.data.invalid import InvalidCount
from ance.data.prepare import PrepareReport, prepare
from ance.data.sources.beir import Beir
from ance.data.tokenizer import Tokenizer
from ance.errors import AnceError
from tests.data.conftest import WORDS, WriteBeir

TLDR_MINI = Path("/work/shared/data/tldr-mini")


def prepared(folder: Path, tokenizer: Tokenizer, **options: Any) -> tuple[PrepareReport, Dataset]:
    out = folder.parent / "out"
    return prepare(Beir(folder), tokenizer, out, **options), Dataset.open(out)


def words(tokens: np.ndarray) -> str:
    return " ".join(WORDS[token] for token in tokens)


def test_passages_keep_their_order_ids_documents_and_tokens(write_beir: WriteBeir, tokenizer: Tokenizer) -> None:
    _, dataset = prepared(write_beir(), tokenizer)
    passages = dataset.passages
    assert list(passages.ids) == ["p1", "p2", "p3"]
    assert passages.documents[0] == {"title": "title", "text": "The cat sat"}
    assert [words(passages.tokens[row]) for row in range(3)] == [
        "title the cat sat",
        "the dog ran",
        "the fish swam",
    ]
    assert passages.tokens.flat.dtype == np.uint16
    assert passages.row_of("p2") == 1
    with pytest.raises(KeyError, match="q1"):
        passages.row_of("q1")


def test_a_split_has_only_the_queries_that_are_judged_in_it(write_beir: WriteBeir, tokenizer: Tokenizer) -> None:
    report, dataset = prepared(write_beir(), tokenizer)
    assert dataset.splits == ("train", "test")
    assert list(dataset.queries("train").ids) == ["q1", "q2"]
    assert list(dataset.queries("test").ids) == ["q3"]
    assert dataset.qrels("test").positives(0).tolist() == [dataset.passages.row_of("p3")]
    assert report.counts == dataset.meta.counts
    assert report.counts["train_queries"] == 2
    with pytest.raises(AnceError, match="'Pets-Co' has no split 'dev', it has: train, test"):
        dataset.queries("dev")


def test_all_positives_of_a_query_are_kept_and_queries_without_one_are_counted(
    write_beir: WriteBeir, tokenizer: Tokenizer
) -> None:
    qrels = {"train": ("q2\tp3\t2", "q1\tp1\t0", "q2\tp1\t1", "q2\tp2\t0")}
    report, dataset = prepared(write_beir(qrels=qrels), tokenizer)
    assert dataset.qrels("train").positives(1).tolist() == [0, 2]
    assert dataset.qrels("train").positives(1, min_grade=2).tolist() == [2]
    assert report.counts["train_queries_without_positive"] == 1


def test_texts_are_cut_to_max_tokens_but_documents_are_not(write_beir: WriteBeir, tokenizer: Tokenizer) -> None:
    _, dataset = prepared(write_beir(), tokenizer, max_tokens=2)
    assert words(dataset.passages.tokens[0]) == "title the"
    assert dataset.passages.documents[0]["text"] == "The cat sat"
    assert dataset.meta.max_tokens == 2


def test_the_data_set_carries_what_an_encoder_needs_to_know(write_beir: WriteBeir, tokenizer: Tokenizer) -> None:
    _, dataset = prepared(write_beir(), tokenizer)
    assert dataset.meta.special == tokenizer.special
    assert dataset.meta.tokenizer_sha256 == tokenizer.sha256
    assert dataset.meta.vocab_size == len(WORDS)


def test_the_batch_size_does_not_change_a_byte(write_beir: WriteBeir, tokenizer: Tokenizer, tmp_path: Path) -> None:
    source = Beir(write_beir())
    one, many = tmp_path / "one", tmp_path / "many"
    prepare(source, tokenizer, one, batch=1)
    prepare(source, tokenizer, many, batch=100)
    files = sorted(path.relative_to(one) for path in one.rglob("*") if path.is_file())
    assert len(files) == 8 * 3 + 3 * 2 + 1
    assert all((one / file).read_bytes() == (many / file).read_bytes() for file in files)


def test_progress_tells_what_is_being_written_and_how_far(write_beir: WriteBeir, tokenizer: Tokenizer) -> None:
    seen: list[tuple[str, int]] = []
    prepared(write_beir(), tokenizer, batch=2, progress=lambda what, done: seen.append((what, done)))
    assert seen == [("passages", 2), ("passages", 3), ("train queries", 2), ("test queries", 1)]


CAT = {"_id": "p1", "text": "the cat"}
DOG = {"_id": "p2", "text": "the dog"}
WHO = {"_id": "q1", "text": "who"}
GOOD = "q1\tp1\t1"
INVALID = {
    "a repeated passage id": ({"corpus": [CAT, DOG, CAT]}, "corpus.jsonl:3", "duplicate id"),
    "a repeated query id": ({"queries": [WHO, WHO]}, "queries.jsonl:2", "duplicate id"),
    "an empty text": (
        {"corpus": [CAT, {"_id": "p3", "title": "", "text": " "}]},
        "corpus.jsonl:2",
        "empty text",
    ),
    "an empty query": ({"queries": [WHO, {"_id": "q2", "text": ""}]}, "queries.jsonl:2", "empty text"),
    "half a surrogate pair": (
        {"corpus": [CAT, '{"_id": "p3", "text": "\\ud800"}']},
        "corpus.jsonl:2",
        "malformed",
    ),
    "bad JSON": ({"corpus": [CAT, "{"]}, "corpus.jsonl:2", "malformed"),
    "a judgement of an unknown passage": (
        {"train": [GOOD, "q1\tp9\t1"]},
        "qrels/train.tsv:3",
        "unknown passage",
    ),
    "a judgement of an unknown query": ({"train": [GOOD, "q9\tp1\t1"]}, "qrels/train.tsv:3", "unknown query"),
    "another grade for a pair": ({"train": [GOOD, "q1\tp1\t2"]}, "qrels/train.tsv:3", "contradictory judgement"),
    "a score that is no integer": ({"train": [GOOD, "q1\tp1\t0.5"]}, "qrels/train.tsv:3", "malformed"),
}


def invalid_folder(write_beir: WriteBeir, parts: dict[str, Any]) -> Path:
    queries = parts.get("queries", [WHO])
    # A second query is judged too, so that it counts.
    judged = [GOOD, "q2\tp1\t1"] if {"_id": "q2", "text": ""} in queries else [GOOD]
    return write_beir(parts.get("corpus", [CAT, DOG]), queries, {"train": parts.get("train", judged)})


@pytest.mark.parametrize("batch", [1, 100])
@pytest.mark.parametrize(("parts", "where", "reason"), INVALID.values(), ids=INVALID)
def test_an_invalid_record_stops_the_preparation_and_says_where_it_is(
    write_beir: WriteBeir, tokenizer: Tokenizer, parts: dict[str, Any], where: str, reason: str, batch: int
) -> None:
    folder = invalid_folder(write_beir, parts)
    with pytest.raises(AnceError, match=f"^{where}: .*--skip-invalid"):
        prepared(folder, tokenizer, batch=batch)
    with pytest.raises(AnceError, match=r"dataset\.json is missing"):
        Dataset.open(folder.parent / "out")


@pytest.mark.parametrize("batch", [1, 100])
@pytest.mark.parametrize(("parts", "where", "reason"), INVALID.values(), ids=INVALID)
def test_an_invalid_record_is_left_out_and_counted_when_asked_for(
    write_beir: WriteBeir, tokenizer: Tokenizer, parts: dict[str, Any], where: str, reason: str, batch: int
) -> None:
    report, dataset = prepared(invalid_folder(write_beir, parts), tokenizer, skip_invalid=True, batch=batch)
    assert report.invalid[reason].records == 1
    assert report.invalid[reason].first.startswith(f"{where}: ")
    assert list(dataset.queries("train").ids) == ["q1"]
    assert dataset.qrels("train").positives(0).tolist() == [0]


@pytest.mark.parametrize("batch", [1, 100])
def test_a_judgement_that_repeats_another_is_left_out_and_counted_without_being_asked(
    write_beir: WriteBeir, tokenizer: Tokenizer, batch: int
) -> None:
    folder = write_beir([CAT, DOG], [WHO], {"train": [GOOD, "q1\tp2\t0", GOOD, GOOD]})
    report, dataset = prepared(folder, tokenizer, batch=batch)
    first = "qrels/train.tsv:4: query 'q1' and the passage of id 'p1' are judged before, as 1"
    assert report.invalid == {"repeated judgement": InvalidCount(2, first)}
    assert report.counts["train_judgements"] == 2
    assert dataset.qrels("train").positives(0, min_grade=0).tolist() == [0, 1]


def test_a_contradiction_names_both_grades(write_beir: WriteBeir, tokenizer: Tokenizer) -> None:
    with pytest.raises(AnceError, match=r"train\.tsv:3: .* are judged before, as 1, and here as 2; mend it, or"):
        prepared(write_beir([CAT, DOG], [WHO], {"train": [GOOD, "q1\tp1\t2"]}), tokenizer)


def test_a_malformed_query_is_counted_once_though_every_split_reads_it(
    write_beir: WriteBeir, tokenizer: Tokenizer
) -> None:
    folder = write_beir(queries=["{", {"_id": "q1", "text": "who"}], qrels={"train": [GOOD], "test": [GOOD]})
    report, _ = prepared(folder, tokenizer, skip_invalid=True)
    assert report.invalid["malformed"].records == 1


def test_judgements_of_a_passage_that_was_left_out_are_left_out_too(
    write_beir: WriteBeir, tokenizer: Tokenizer
) -> None:
    folder = write_beir(corpus=[CAT, {"_id": "p2", "text": ""}], qrels={"train": [GOOD, "q1\tp2\t1"]})
    report, _ = prepared(folder, tokenizer, skip_invalid=True)
    assert {reason: count.records for reason, count in report.invalid.items()} == {
        "empty text": 1,
        "unknown passage": 1,
    }


def test_nothing_usable_is_an_error_even_when_invalid_records_are_left_out(
    write_beir: WriteBeir, tokenizer: Tokenizer
) -> None:
    folder = write_beir(qrels={"train": [GOOD], "dev": ["q1\tp9\t1"]})
    with pytest.raises(AnceError, match="split 'dev' has no usable judged query"):
        prepared(folder, tokenizer, skip_invalid=True)


def test_an_empty_corpus_is_an_error(write_beir: WriteBeir, tokenizer: Tokenizer) -> None:
    with pytest.raises(AnceError, match="the corpus has no usable passage"):
        prepared(write_beir(corpus=[]), tokenizer)


def test_a_folder_that_is_not_empty_is_not_written_to(write_beir: WriteBeir, tokenizer: Tokenizer) -> None:
    folder = write_beir()
    with pytest.raises(AnceError, match="is not empty"):
        prepare(Beir(folder), tokenizer, folder)


def test_a_data_set_of_another_format_is_refused(write_beir: WriteBeir, tokenizer: Tokenizer) -> None:
    _, dataset = prepared(write_beir(), tokenizer)
    path = dataset.folder / "dataset.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": 2}))
    with pytest.raises(AnceError, match=r"format: .*make it again with `ance prepare`"):
        Dataset.open(dataset.folder)


@pytest.mark.skipif(not TLDR_MINI.is_dir(), reason="needs the shared data sets")
def test_a_real_data_set_has_the_counts_that_its_description_states(tokenizer: Tokenizer, tmp_path: Path) -> None:
    report = prepare(Beir(TLDR_MINI), tokenizer, tmp_path / "out")
    assert report.counts["passages"] == 2000
    assert (report.counts["dev_queries"], report.counts["test_queries"]) == (1069, 777)
    assert report.invalid == {}


def test_answers_lie_beside_the_queries_of_their_split(write_beir: WriteBeir, tokenizer: Tokenizer) -> None:
    folder = write_beir()
    (folder / "answers.jsonl").write_text('{"_id": "q2", "answers": ["the dog", "K\u00f6ter"]}')
    _, dataset = prepared(folder, tokenizer)
    assert dataset.has_answers("train") and not dataset.has_answers("test")
    assert list(dataset.answers("train")) == [[], ["the dog", "K\u00f6ter"]]
    with pytest.raises(AnceError, match="split 'test': its queries have no answers"):
        dataset.answers("test")


class Answered(Beir):
    """Its test split is of questions and answers only."""

    def is_judged(self, split: str) -> bool:
        return split != "test"


def test_a_split_that_is_not_judged_keeps_its_queries(write_beir: WriteBeir, tokenizer: Tokenizer) -> None:
    folder = write_beir(qrels={"train": ("q1\tp1\t1",), "test": ()})
    (folder / "answers.jsonl").write_text('{"_id": "q2", "answers": ["the dog"]}')
    report = prepare(Answered(folder), tokenizer, folder.parent / "out")
    dataset = Dataset.open(folder.parent / "out")
    assert list(dataset.queries("test").ids) == ["q1", "q2", "q3"]
    assert list(dataset.answers("test")) == [[], ["the dog"], []]
    assert report.counts["test_queries_without_positive"] == 3
    with pytest.raises(AnceError, match="split 'test' has no usable judged query"):
        prepare(Beir(folder), tokenizer, folder.parent / "again")
