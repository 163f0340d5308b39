from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import ir_datasets
import pytest
from ir_datasets.datasets.base import Dataset as PublicDataset
from ir_datasets.datasets.dpr_w100 import DprW100Doc, DprW100Query
from ir_datasets.formats import (
    BaseDocPairs,
    BaseDocs,
    BaseQrels,
    BaseQueries,
    BaseScoredDocs,
    GenericDoc,
    GenericDocPair,
    GenericQuery,
    GenericScoredDoc,
    TrecQrel,
)

from ance.data.dataset import Dataset
from ance.data.prepare import prepare
from ance.data.records import Candidate, Judgement, Located, Passage, Query
from ance.data.sources.irds import IrDatasets
from ance.data.tokenizer import Tokenizer
from ance.errors import AnceError


class TitledDoc(NamedTuple):
    doc_id: str
    title: str
    body: str


class FieldedDoc(NamedTuple):
    doc_id: str
    abstract: str

    def default_text(self) -> str:
        return self.abstract


class Docs(BaseDocs):
    def __init__(self, *docs: Any) -> None:
        self.docs = docs

    def docs_handler(self) -> "Docs":
        return self

    def docs_iter(self) -> Iterator[Any]:
        return iter(self.docs)

    def docs_cls(self) -> type:
        return GenericDoc


class Queries(BaseQueries):
    def queries_iter(self) -> Iterator[GenericQuery]:
        yield GenericQuery("q1", "who sat")

    def queries_handler(self) -> "Queries":
        return self


class Qrels(BaseQrels):
    def __init__(self, error: Exception | None = None) -> None:
        self.error = error

    def qrels_iter(self) -> Iterator[TrecQrel]:
        yield TrecQrel("q1", "p1", 2, "0")
        if self.error:
            raise self.error

    def qrels_handler(self) -> "Qrels":
        return self


CATS = Docs(TitledDoc("p1", "Cats", "The cat sat"), GenericDoc("p2", "The dog ran"), FieldedDoc("p3", "A fish swam"))
Register = Callable[[Mapping[str, PublicDataset]], None]


@pytest.fixture
def register(monkeypatch: pytest.MonkeyPatch) -> Register:
    """Registers data sets with ir_datasets for one test."""
    monkeypatch.setattr(ir_datasets.registry, "_registered", dict(ir_datasets.registry._registered))

    def all_of(datasets: Mapping[str, PublicDataset]) -> None:
        for name, dataset in datasets.items():
            ir_datasets.registry.register(name, dataset)

    return all_of


def judged(docs: Docs = CATS, qrels: Qrels | None = None) -> PublicDataset:
    return PublicDataset(docs, Queries(), qrels or Qrels())


def test_ids_below_the_given_one_are_splits_of_its_documents(register: Register) -> None:
    register({"pets": PublicDataset(CATS), "pets/test": judged(), "pets/dev": judged(), "pets/train": judged()})
    register({"pets/eval": PublicDataset(CATS, Queries()), "pets/dev/small": judged()})
    source = IrDatasets("pets")
    assert source.splits() == ("train", "dev", "test")
    assert source.name == "pets"
    assert list(source.passages()) == [
        Located(Passage("p1", "Cats", "The cat sat"), "ir_datasets:pets/train docs 1"),
        Located(Passage("p2", "", "The dog ran"), "ir_datasets:pets/train docs 2"),
        Located(Passage("p3", "", "A fish swam"), "ir_datasets:pets/train docs 3"),
    ]
    assert list(source.queries("dev")) == [Located(Query("q1", "who sat"), "ir_datasets:pets/dev queries 1")]
    assert list(source.judgements("dev")) == [Located(Judgement("q1", "p1", 2), "ir_datasets:pets/dev qrels 1")]


def test_a_family_whose_parent_is_no_data_set_is_found_by_its_prefix(register: Register) -> None:
    register({"zoo/pets/train": judged(), "zoo/pets/dev": judged()})
    source = IrDatasets("zoo/pets")
    assert source.splits() == ("train", "dev")
    assert source.name == "zoo-pets"


def test_an_id_with_judgements_and_no_family_is_one_test_split(register: Register) -> None:
    register({"pets": judged()})
    assert IrDatasets("pets").splits() == ("test",)


def test_a_group_of_different_collections_is_not_taken_for_splits(register: Register) -> None:
    register({"zoo/cats": judged(), "zoo/dogs": judged(Docs())})
    with pytest.raises(AnceError, match="a group of data sets; choose one: zoo/cats, zoo/dogs"):
        IrDatasets("zoo")


def test_an_unknown_id_or_one_without_judgements_is_an_error(register: Register) -> None:
    register({"pets": PublicDataset(CATS)})
    for dataset_id in ("pets", "no-such-id"):
        with pytest.raises(AnceError, match=f"ir_datasets:{dataset_id}: .*see https://ir-datasets.com"):
            IrDatasets(dataset_id)


def test_a_failed_download_is_an_error_that_names_the_data_set(register: Register) -> None:
    register({"pets": judged(qrels=Qrels(ConnectionError("connection refused")))})
    with pytest.raises(AnceError, match="ir_datasets:pets: qrels could not be read or downloaded: connection refused"):
        list(IrDatasets("pets").judgements("test"))


def test_the_catalogue_knows_the_splits_of_scifact() -> None:
    assert IrDatasets("beir/scifact").splits() == ("train", "test")


def test_chosen_parts_are_splits_and_those_of_a_joined_one_have_their_names_before_the_ids(register: Register) -> None:
    register({"zoo/cats/train": judged(), "zoo/dogs/train": judged(), "zoo/dogs/dev": judged()})
    source = IrDatasets("zoo", {"train": ["cats/train", "dogs/train"], "dev": ["dogs/dev"]})
    assert source.splits() == ("train", "dev")
    assert [query.record.id for query in source.queries("train")] == ["cats/train:q1", "dogs/train:q1"]
    assert [one.record.query_id for one in source.judgements("train")] == ["cats/train:q1", "dogs/train:q1"]
    assert [query.record.id for query in source.queries("dev")] == ["q1"]


def test_a_part_that_is_not_there_or_has_another_corpus_is_an_error(register: Register) -> None:
    register({"zoo/cats": judged(), "zoo/dogs": judged(Docs())})
    with pytest.raises(AnceError, match="ir_datasets:zoo/birds: no such id with documents, queries and judgements"):
        IrDatasets("zoo", {"train": ["birds"]})
    with pytest.raises(AnceError, match="a group of data sets"):
        IrDatasets("zoo", {"train": ["cats"], "dev": ["dogs"]})
    with pytest.raises(AnceError, match="candidates of 'test', which is none of its splits"):
        IrDatasets("zoo", {"train": ["cats"]}, ["test"])


class ScoredDocs(BaseScoredDocs):
    def scoreddocs_iter(self) -> Iterator[GenericScoredDoc]:
        yield GenericScoredDoc("q1", "p2", 7.0)


class DocPairs(BaseDocPairs):
    def docpairs_iter(self) -> Iterator[GenericDocPair]:
        yield GenericDocPair("q1", "p1", "p3")


def test_candidates_are_the_negatives_of_pairs_or_else_scored_documents_of_the_splits_that_ask(
    register: Register,
) -> None:
    train = PublicDataset(CATS, Queries(), Qrels(), ScoredDocs(), DocPairs())
    register(
        {"pets/train": train, "pets/dev": PublicDataset(CATS, Queries(), Qrels(), ScoredDocs()), "pets/test": judged()}
    )
    parts = {"train": ["train"], "dev": ["dev"], "test": ["test"]}
    source = IrDatasets("pets", parts, ["train", "dev", "test"])
    assert [one.record for one in source.candidates("train")] == [Candidate("q1", "p3")]
    assert list(source.candidates("dev")) == [Located(Candidate("q1", "p2"), "ir_datasets:pets/dev scoreddocs 1")]
    with pytest.raises(AnceError, match="ir_datasets:pets/test: has no candidates"):
        list(source.candidates("test"))
    assert list(IrDatasets("pets", parts).candidates("dev")) == []


class OfOneKind(Docs):
    def docs_cls(self) -> type:
        return type(self.docs[0])


class UrlDoc(NamedTuple):
    doc_id: str
    url: str
    title: str
    body: str


def test_the_url_of_a_document_is_part_of_its_text(register: Register) -> None:
    register({"web": judged(Docs(UrlDoc("D1", "http://a", "Cats", "The cat sat")))})
    parts = ("http://a", "Cats", "The cat sat")
    assert next(iter(IrDatasets("web").passages())).record == Passage("D1", "Cats", "http://a The cat sat", parts)


class AnsweredQuery(NamedTuple):
    query_id: str
    text: str
    answers: tuple[str, ...]

    def default_text(self) -> str:
        return self.text


class AnsweredQueries(Queries):
    def __init__(self, *queries: Any) -> None:
        self.queries = queries

    def queries_iter(self) -> Iterator[Any]:
        return iter(self.queries)


def test_answers_of_queries_are_those_of_the_data_set(register: Register, tokenizer: Tokenizer, tmp_path: Path) -> None:
    queries = AnsweredQueries(AnsweredQuery("q1", "who sat?", ("the cat", "Tom")))
    register({"pets/test": PublicDataset(CATS, queries, Qrels())})
    assert [query.record for query in IrDatasets("pets").queries("test")] == [
        Query("q1", "who sat?", ("the cat", "Tom"))
    ]
    prepare(IrDatasets("pets"), tokenizer, tmp_path / "out")
    assert list(Dataset.open(tmp_path / "out").answers("test")) == [["the cat", "Tom"]]


@pytest.mark.parametrize(
    ("document", "passage_format"),
    [
        (GenericDoc("p1", "The dog ran"), "text"),
        (TitledDoc("p1", "Cats", "The cat sat"), "title text"),
        (UrlDoc("p1", "http://a", "Cats", "The cat sat"), "url [SEP] title [SEP] body"),
        (FieldedDoc("p1", "A fish swam"), "the default_text of ir_datasets"),
    ],
)
def test_what_is_read_of_a_passage_is_remembered(
    register: Register, tokenizer: Tokenizer, tmp_path: Path, document: Any, passage_format: str
) -> None:
    register({"pets": judged(OfOneKind(document))})
    prepare(IrDatasets("pets"), tokenizer, tmp_path / "out")
    provenance = Dataset.open(tmp_path / "out").meta.provenance
    assert (provenance["passage_format"], provenance["query_format"]) == (passage_format, "text")


class QuestionsOfDpr(AnsweredQueries):
    def queries_cls(self) -> type:
        return DprW100Query


def test_questions_and_passages_of_dpr_are_as_in_its_own_files(register: Register) -> None:
    docs = OfOneKind(DprW100Doc("1", "The cat sat", "Cats"))
    queries = QuestionsOfDpr(DprW100Query("q1", "who?", ("Tom",)))
    register({"wiki/test": PublicDataset(docs, queries, Qrels())})
    source = IrDatasets("wiki")
    assert [one.record for one in source.passages()] == [Passage("1", "Cats", "The cat sat", ("Cats", "The cat sat"))]
    assert [one.record for one in source.queries("test")] == [Query("q1", "who", ("Tom",))]
    assert source.provenance["passage_format"] == "title [SEP] text"
    assert source.provenance["query_format"] == "text without the question mark at its end"
