import gzip
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from ance.data.dataset import Dataset
from ance.data.prepare import prepare
from ance.data.records import Candidate, Invalid, Judgement, Located, Passage, Query, Wording
from ance.data.sources.marco import Marco
from ance.data.tokenizer import Tokenizer
from ance.errors import AnceError
from tests.data.conftest import WORDS

Write = Callable[[Mapping[str, str]], Path]

PASSAGES = {
    "collection.tsv": "10\tthe cat sat\n11\tthe dog ran\n12\tthe fish swam\n",
    "queries.train.tsv": "1\twho sat\n2\twho ran\n3\twho\n",
    "qrels.train.tsv": "1\t0\t10\t1\n2\t0\t11\t1\n1\t0\t12\t1\n",
    "queries.dev.small.tsv": "7\twho swam\n",
    "qrels.dev.small.tsv": "7\t0\t12\t1\n",
}
DOCUMENTS = {
    "msmarco-docs.tsv.gz": "D1\thttp://a\tCats\tthe cat sat\nD2\thttp://b\t\t\n",
    "msmarco-doctrain-queries.tsv.gz": "1\twho sat\n",
    "msmarco-doctrain-qrels.tsv.gz": "1 0 D1 1\n",
    "msmarco-test2019-queries.tsv": "9\twho ran\n",
    "2019qrels-docs.txt": "9 Q0 D2 3\n9 Q0 D1 0\n",
}


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a folder of files; those whose names say so are compressed."""

    def files(contents: Mapping[str, str]) -> Path:
        folder = tmp_path / "marco"
        folder.mkdir(exist_ok=True)
        for name, text in contents.items():
            raw = text.encode()
            (folder / name).write_bytes(gzip.compress(raw) if name.endswith(".gz") else raw)
        return folder

    return files


def test_the_passage_files_are_a_source(write: Write) -> None:
    source = Marco(write(PASSAGES))
    assert (source.name, source.splits()) == ("marco", ("train", "dev"))
    assert next(iter(source.passages())) == Located(Passage("10", "", "the cat sat"), "collection.tsv:1")
    assert next(iter(source.queries("dev"))) == Located(Query("7", "who swam"), "queries.dev.small.tsv:1")
    assert [one.record for one in source.judgements("train") if isinstance(one, Located)] == [
        Judgement("1", "10", 1),
        Judgement("2", "11", 1),
        Judgement("1", "12", 1),
    ]
    assert source.provenance["files"]["dev"] == ["queries.dev.small.tsv", "qrels.dev.small.tsv"]
    assert source.provenance["passage_format"] == "text"


def test_the_document_files_are_a_source_compressed_or_not(write: Write) -> None:
    source = Marco(write(DOCUMENTS))
    assert source.splits() == ("train", "trec-dl-2019")
    assert source.provenance["passage_format"] == "url [SEP] title [SEP] body"
    assert [one.record for one in source.passages() if isinstance(one, Located)] == [
        Passage("D1", "Cats", "http://a the cat sat", ("http://a", "Cats", "the cat sat")),
        Passage("D2", "", "http://b", ("http://b", "", "")),
    ]
    assert next(iter(source.judgements("trec-dl-2019"))) == Located(Judgement("9", "D2", 3), "2019qrels-docs.txt:1")


def test_a_document_is_encoded_with_separators_and_searched_without(
    write: Write, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    prepare(Marco(write(DOCUMENTS)), tokenizer, tmp_path / "out")
    passages = Dataset.open(tmp_path / "out").passages
    words = [[WORDS[token] for token in passages.tokens[row].tolist()] for row in range(2)]
    url = ["[UNK]", "[UNK]"]  # http, ://
    assert words[0] == [*url, "a", "[SEP]", "[UNK]", "[SEP]", "the", "cat", "sat"]
    assert words[1] == [*url, "[UNK]", "[SEP]", "[SEP]"]
    assert list(passages.full_texts()) == ["Cats http://a the cat sat", "http://b"]


def test_the_small_dev_set_is_dev_and_the_whole_one_has_a_name_of_its_own(write: Write) -> None:
    whole = {"queries.dev.tsv": "8\twho\n", "qrels.dev.tsv": "8\t0\t10\t1\n"}
    assert Marco(write({**PASSAGES, **whole})).splits() == ("train", "dev", "dev-full")
    folder = write({})
    for name in ("queries.dev.small.tsv", "qrels.dev.small.tsv"):
        (folder / name).unlink()
    assert Marco(folder).splits() == ("train", "dev")


def test_a_query_set_of_ones_own_is_a_split_by_its_name(write: Write) -> None:
    own = {"queries.legal.tsv": "a\twho\n", "qrels.legal.tsv": "a\t0\t10\t1\n"}
    assert Marco(write({**PASSAGES, **own})).splits() == ("train", "dev", "legal")


@pytest.mark.parametrize(
    ("name", "line", "split", "candidate"),
    [
        ("top1000.dev", "7\t11\twho swam\tthe dog ran", "dev", Candidate("7", "11")),
        ("top1000.dev.tsv.gz", "7\t11\twho swam\tthe dog ran", "dev", Candidate("7", "11")),
        ("qidpidtriples.train.full.2.tsv.gz", "1\t10\t11", "train", Candidate("1", "11")),
        (
            "triples.train.small.tsv",
            "who sat\ta\tthe dog ran",
            "train",
            Candidate(Wording("who sat"), Wording("the dog ran")),
        ),
    ],
)
def test_candidates_come_from_top_1000_and_from_the_negatives_of_triples(
    write: Write, name: str, line: str, split: str, candidate: Candidate
) -> None:
    source = Marco(write({**PASSAGES, name: line + "\n"}))
    assert list(source.candidates(split)) == [Located(candidate, f"{name}:1")]
    assert list(source.candidates({"dev": "train", "train": "dev"}[split])) == []


def test_several_files_of_candidates_are_all_read(write: Write) -> None:
    files = {f"qidpidtriples.train.{part}.tsv": f"1\t10\t{negative}\n" for part, negative in (("a", 11), ("b", 12))}
    found = Marco(write({**PASSAGES, **files})).candidates("train")
    assert [one.record for one in found if isinstance(one, Located)] == [Candidate("1", "11"), Candidate("1", "12")]


def test_candidates_of_documents_come_from_top_100_runs(write: Write) -> None:
    runs = {
        "msmarco-doctrain-top100.gz": "1 Q0 D2 1 -5.1 IndriQueryLikelihood\n",
        "msmarco-doctest2019-top100": "9 Q0 D1 1 -4 IndriQueryLikelihood\n",
    }
    source = Marco(write({**DOCUMENTS, **runs}))
    assert [one.record for one in source.candidates("train") if isinstance(one, Located)] == [Candidate("1", "D2")]
    assert [one.record for one in source.candidates("trec-dl-2019") if isinstance(one, Located)] == [
        Candidate("9", "D1")
    ]


def test_all_positives_are_kept_and_candidates_are_rows_of_the_data_set(
    write: Write, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    files = {
        **PASSAGES,
        "triples.train.small.tsv": "who sat\tthe cat sat\tthe dog ran\nwho\tx\tthe dog ran\nwho ran\tx\tthe cat sat\n",
        "top1000.dev": "7\t11\twho swam\tx\n7\t12\twho swam\tx\n",
    }
    report = prepare(Marco(write(files)), tokenizer, tmp_path / "out")
    assert (report.counts["train_candidates"], report.counts["dev_candidates"]) == (2, 2)
    dataset = Dataset.open(tmp_path / "out")
    assert dataset.qrels("train").positives(0).tolist() == [0, 2]
    assert dataset.candidates("train").padded().tolist() == [[1], [0]], "query 3 has no judgement"
    assert dataset.candidates("dev").padded().tolist() == [[1, 2]]


@pytest.mark.parametrize(
    ("name", "content", "detail"),
    [
        ("collection.tsv", "10\n", "collection.tsv:1: expected 2 columns between tabs, id, passage; found 1"),
        ("queries.train.tsv", "1\twho\tsat\n", "queries.train.tsv:1: expected 2 columns"),
        ("qrels.train.tsv", "1\t0\t10\n", "qrels.train.tsv:1: expected 4 columns between white space"),
        ("qrels.train.tsv", "1\t0\t10\tyes\n", "qrels.train.tsv:1: grade 'yes' is not an integer"),
        (
            "qrels.train.tsv",
            "1\t0\t10\t1\n1\t0\t99\t1\n",
            "qrels.train.tsv:2: no passage of the corpus has the id '99'",
        ),
        ("top1000.dev", "7\t99\twho\tx\n", "top1000.dev:1: no passage of the corpus has the id '99'"),
        (
            "triples.train.small.tsv",
            "who sat\tx\ta bird\n",
            "small.tsv:1: no passage of the corpus has the text 'a bird'",
        ),
        ("triples.train.small.tsv", "who\nwho\n", "triples.train.small.tsv:1: expected 3 columns between tabs, query"),
        ("triples.train.small.tsv", "whose\tx\tthe cat sat\n", "none of the 1 candidates of split 'train' is for one"),
    ],
)
def test_what_cannot_be_used_stops_the_preparation_and_says_where_it_is(
    write: Write, tokenizer: Tokenizer, tmp_path: Path, name: str, content: str, detail: str
) -> None:
    with pytest.raises(AnceError, match=detail):
        prepare(Marco(write({**PASSAGES, name: content})), tokenizer, tmp_path / "out")


def test_unusable_lines_are_counted_when_they_are_to_be_left_out(
    write: Write, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    files = {**PASSAGES, "top1000.dev": "7\t99\twho\tx\n7\t11\twho\n7\t12\twho\tx\n"}
    report = prepare(Marco(write(files)), tokenizer, tmp_path / "out", skip_invalid=True)
    assert {reason: (count.records, count.first.split(": ")[0]) for reason, count in report.invalid.items()} == {
        "unknown passage": (1, "top1000.dev:1"),
        "malformed": (1, "top1000.dev:2"),
    }
    assert Dataset.open(tmp_path / "out").candidates("dev").padded().tolist() == [[2]]


def test_a_folder_that_lacks_files_is_an_error_that_says_what_belongs_there(write: Write, tmp_path: Path) -> None:
    with pytest.raises(AnceError, match=r"/nowhere: no such folder; expected collection.tsv with queries.SPLIT"):
        Marco(Path("/nowhere"))
    folder = write(PASSAGES)
    (folder / "queries.train.tsv").unlink()
    with pytest.raises(AnceError, match=r"qrels.train.tsv: there are no queries beside it"):
        Marco(folder)
    write(DOCUMENTS)
    with pytest.raises(AnceError, match="holds both passages and documents"):
        Marco(folder)
    for path in folder.iterdir():
        path.unlink()
    with pytest.raises(AnceError, match="holds no corpus"):
        Marco(folder)
    write({"collection.tsv": "1\ta\n"})
    with pytest.raises(AnceError, match="holds no qrels"):
        Marco(folder)


def test_a_line_that_is_no_text_is_invalid(write: Write) -> None:
    folder = write(PASSAGES)
    (folder / "collection.tsv").write_bytes(b"10\t\xff\n11\tthe dog\n")
    malformed, good = Marco(folder).passages()
    assert isinstance(malformed, Invalid) and malformed.where == "collection.tsv:1"
    assert isinstance(good, Located)
