from pathlib import Path

import pytest

from ance.data.records import Invalid, Judgement, Located, Passage, Query
from ance.data.sources.beir import Beir
from ance.errors import AnceError
from tests.data.conftest import WriteBeir


def test_records_come_with_the_line_they_stand_on(write_beir: WriteBeir) -> None:
    source = Beir(write_beir())
    assert list(source.passages())[:2] == [
        Located(Passage("p1", "title", "The cat sat"), "corpus.jsonl:1"),
        Located(Passage("p2", "", "the dog ran"), "corpus.jsonl:2"),
    ]
    assert next(iter(source.queries("test"))) == Located(Query("q1", "who sat"), "queries.jsonl:1")
    assert list(source.judgements("test")) == [Located(Judgement("q3", "p3", 1), "qrels/test.tsv:2")]


def test_what_is_read_of_a_passage_is_remembered(write_beir: WriteBeir) -> None:
    folder = write_beir()
    source = {"source": f"beir:{folder}"}
    assert Beir(folder).provenance == source | {"passage_format": "title text", "query_format": "text"}


def test_a_title_that_is_null_is_none(write_beir: WriteBeir) -> None:
    (record,) = Beir(write_beir(corpus=[{"_id": "p1", "title": None, "text": "a"}])).passages()
    assert record == Located(Passage("p1", "", "a"), "corpus.jsonl:1")


def test_every_qrels_file_is_a_split_and_the_usual_ones_come_first(write_beir: WriteBeir) -> None:
    folder = write_beir(qrels={name: ["q1\tp1\t1"] for name in ("test_nq", "test", "extra", "dev", "train")})
    assert Beir(folder).splits() == ("train", "dev", "test", "extra", "test_nq")


def test_the_name_is_that_of_the_folder_made_fit_for_a_store(write_beir: WriteBeir) -> None:
    assert Beir(write_beir()).name == "Pets-Co"


LINE = b'{"_id": "p1", "text": "caf\xc3\xa9"}'


@pytest.mark.parametrize("content", [LINE + b"\r\n", b"\xef\xbb\xbf" + LINE, b"\n  \n" + LINE + b"\n\n"])
def test_crlf_a_byte_order_mark_and_blank_lines_do_no_harm(write_beir: WriteBeir, content: bytes) -> None:
    folder = write_beir()
    (folder / "corpus.jsonl").write_bytes(content)
    (record,) = Beir(folder).passages()
    assert isinstance(record, Located)
    assert record.record == Passage("p1", "", "café")


def test_judgements_with_crlf_and_without_a_header_are_read(write_beir: WriteBeir) -> None:
    folder = write_beir()
    (folder / "qrels" / "test.tsv").write_bytes(b"q1\tp1\t1\r\nq2\tp2\t0\r\n")
    assert [record.where for record in Beir(folder).judgements("test")] == [
        "qrels/test.tsv:1",
        "qrels/test.tsv:2",
    ]
    assert not any(isinstance(record, Invalid) for record in Beir(folder).judgements("test"))


@pytest.mark.parametrize(
    ("line", "detail"),
    [
        ("{", "is not JSON: .* at column 2"),
        ("[1]", "is a list, expected an object"),
        ('{"text": "a"}', "'_id' is missing"),
        ('{"_id": " ", "text": "a"}', "'_id' is empty"),
        ('{"_id": 7, "text": "a"}', "'_id' is a number, expected a string"),
        ('{"_id": "p"}', "'text' is missing"),
        ('{"_id": "p", "text": null}', "'text' is null, expected a string"),
        ('{"_id": "p", "text": "a", "title": ["a"]}', "'title' is a list, expected a string"),
        ("[" * 100_000, "is nested too deeply|is not JSON"),
        (b'{"_id": "p", "text": "\xff"}', "is not UTF-8 at byte 23"),
    ],
)
def test_a_malformed_line_is_reported_and_the_next_one_read(
    write_beir: WriteBeir, line: str | bytes, detail: str
) -> None:
    malformed, good = Beir(write_beir(corpus=[line, {"_id": "p2", "text": "a"}])).passages()
    assert isinstance(malformed, Invalid)
    assert malformed.where == "corpus.jsonl:1"
    with pytest.raises(AssertionError, match=detail):
        raise AssertionError(malformed.detail)
    assert good == Located(Passage("p2", "", "a"), "corpus.jsonl:2")


@pytest.mark.parametrize(
    ("row", "detail"),
    [
        ("q1\tp1", "expected 3 columns between tabs, query-id, corpus-id, score; found 2"),
        ("q1 p1 1", "expected 3 columns between tabs, query-id, corpus-id, score; found 1"),
        ("q1\t\t1", "expected 3 columns between tabs, query-id, corpus-id, score; one is empty"),
        ("q1\tp1\t1.5", "score '1.5' is not an integer"),
        ("q1\tp1\tone", "score 'one' is not an integer"),
        ("query-id\tcorpus-id\tscore", "score 'score' is not an integer"),
    ],
)
def test_a_malformed_judgement_is_reported(write_beir: WriteBeir, row: str, detail: str) -> None:
    (record,) = Beir(write_beir(qrels={"train": [row]})).judgements("train")
    assert isinstance(record, Invalid)
    assert (record.where, record.detail) == ("qrels/train.tsv:2", detail)


def test_a_missing_folder_or_file_is_an_error_that_says_what_belongs_there(write_beir: WriteBeir) -> None:
    with pytest.raises(AnceError, match=r"/nowhere: no such folder.*expected corpus.jsonl, queries.jsonl and qrels"):
        Beir(Path("/nowhere"))
    folder = write_beir()
    (folder / "queries.jsonl").unlink()
    with pytest.raises(AnceError, match=r"queries.jsonl is missing; expected"):
        Beir(folder)


def test_a_folder_without_judgements_is_an_error(write_beir: WriteBeir) -> None:
    with pytest.raises(AnceError, match=r"qrels holds no .tsv file; expected"):
        Beir(write_beir(qrels={}))


def test_a_query_carries_its_answers(write_beir: WriteBeir) -> None:
    folder = write_beir()
    lines = ['{"_id": "q1", "answers": ["1973", "October 1973"]}', '{"_id": "nobody", "answers": ["x"]}']
    (folder / "answers.jsonl").write_text("\n".join(lines))
    queries = {query.record.id: query.record for query in Beir(folder).queries("test") if isinstance(query, Located)}
    assert queries["q1"].answers == ("1973", "October 1973")
    assert all(query.answers == () for text_id, query in queries.items() if text_id != "q1")


@pytest.mark.parametrize("line", ['{"_id": "q1"}', '{"_id": "q1", "answers": "1973"}', '{"_id": "q1", "answers": [3]}'])
def test_malformed_answers_are_reported(write_beir: WriteBeir, line: str) -> None:
    folder = write_beir()
    (folder / "answers.jsonl").write_text(line)
    record = next(iter(Beir(folder).queries("test")))
    assert isinstance(record, Invalid)
    assert (record.where, record.detail) == ("answers.jsonl:1", "'answers' is missing or no list of strings")
