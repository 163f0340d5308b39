"""The files of MS MARCO's passage and document ranking as they are published (Bajaj et al. 2016; Craswell et al. 2020).

Candidates are the official top 1000 and top 100, to re-rank, and the negatives of the official triples, to train on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ance.data.records import Candidate, Invalid, Judgement, Located, Passage, Query, Source, Wording
from ance.data.sources.lines import columns, grade, read_records
from ance.data.sources.marco_files import CandidateFormat, find_files
from ance.data.sources.naming import dataset_name
from ance.data.text_format import PassageFormat, text_format


class Marco(Source):
    """A `Source` of a folder of MS MARCO's files, whose names `marco_files` lists.

    Raises:
        AnceError: a file is missing.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files = find_files(folder)

    @property
    def name(self) -> str:
        return dataset_name(self._folder.resolve().name)

    @property
    def provenance(self) -> Mapping[str, Any]:
        """The files by split, and what is read of a text."""
        splits = {
            split: [path.name for path in (files.queries, files.qrels, *files.candidates)]
            for split, files in self._files.splits.items()
        }
        texts = text_format(PassageFormat.URL_SEP_TITLE_SEP_BODY if self._files.of_documents else PassageFormat.TEXT)
        return {"source": f"msmarco:{self._folder}", "corpus": self._files.corpus.name, "files": splits} | texts

    def splits(self) -> tuple[str, ...]:
        return tuple(self._files.splits)

    def passages(self) -> Iterator[Located[Passage] | Invalid]:
        corpus = self._files.corpus
        return read_records(corpus, corpus.name, _document if self._files.of_documents else _passage)

    def queries(self, split: str) -> Iterator[Located[Query] | Invalid]:
        path = self._files.splits[split].queries
        return read_records(path, path.name, _query)

    def judgements(self, split: str) -> Iterator[Located[Judgement] | Invalid]:
        path = self._files.splits[split].qrels
        return read_records(path, path.name, _judgement)

    def candidates(self, split: str) -> Iterator[Located[Candidate] | Invalid]:
        for path, format_ in self._files.splits[split].candidates.items():
            yield from read_records(path, path.name, _PARSERS[format_])


def as_document(document_id: str, url: str, title: str, body: str) -> Passage:
    """A document as the original ANCE encodes it, `url [SEP] title [SEP] body` (data/msmarco_data.py)."""
    return Passage(document_id, title, f"{url} {body}".strip(), (url, title, body))


def _passage(line: str) -> Passage:
    passage_id, text = columns(line, ("id", "passage"))
    return Passage(passage_id, "", text)


def _document(line: str) -> Passage:
    return as_document(*columns(line, ("id", "url", "title", "body")))


def _query(line: str) -> Query:
    query_id, text = columns(line, ("id", "query"))
    return Query(query_id, text)


def _judgement(line: str) -> Judgement:
    query_id, _, passage_id, number = columns(line, ("query id", "0", "passage id", "grade"), separator=None)
    return Judgement(query_id, passage_id, grade(number))


def _top(line: str) -> Candidate:
    query_id, passage_id, _, _ = columns(line, ("query id", "passage id", "query", "passage"))
    return Candidate(query_id, passage_id)


def _run(line: str) -> Candidate:
    query_id, _, passage_id, *_ = columns(
        line, ("query id", "Q0", "passage id", "rank", "score", "tag"), separator=None
    )
    return Candidate(query_id, passage_id)


def _triple_ids(line: str) -> Candidate:
    query_id, _, negative_id = columns(line, ("query id", "positive id", "negative id"))
    return Candidate(query_id, negative_id)


def _triple_texts(line: str) -> Candidate:
    query, _, negative = columns(line, ("query", "positive", "negative"))
    return Candidate(Wording(query), Wording(negative))


_PARSERS = {
    CandidateFormat.TOP: _top,
    CandidateFormat.RUN: _run,
    CandidateFormat.TRIPLE_IDS: _triple_ids,
    CandidateFormat.TRIPLE_TEXTS: _triple_texts,
}
