"""Data sets of the `ir_datasets` catalogue, by id: MS MARCO, NQ, TriviaQA, BEIR and many more.

`ir_datasets` downloads and keeps the files itself, at the first use.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, TypeVar

import ir_datasets
from ir_datasets.datasets.dpr_w100 import DprW100Doc, DprW100Query

from ance.data.records import Candidate, Judgement, Located, Passage, Query, Source
from ance.data.sources.dpr_passages import as_pair
from ance.data.sources.dpr_questions import without_question_mark
from ance.data.sources.marco import as_document
from ance.data.sources.naming import dataset_name, in_usual_order
from ance.data.text_format import PassageFormat, QueryFormat, text_format
from ance.errors import AnceError

T = TypeVar("T")


class IrDatasets(Source):
    """A `Source` of a family of ids: ID/train, ID/dev ... are splits of the documents they share.

    An id without such a family, but with judgements of its own, is one split, `test`.

    Args:
        dataset_id: of the family.
        splits: which parts of the family to take instead: name of the split -> what follows ID/. Parts that are joined
            in one split have their names before the ids of their queries, for they may number them alike.
        candidates: splits of which the negatives of document pairs, or else the scored documents, are candidates.
            They are large downloads of their own.

    Raises:
        AnceError: there is no such id, or it has no judged split.
    """

    def __init__(
        self,
        dataset_id: str,
        splits: Mapping[str, Sequence[str]] = MappingProxyType({}),
        candidates: Sequence[str] = (),
    ) -> None:
        self._id = dataset_id
        self._ids = _chosen_ids(dataset_id, splits) if splits else _split_ids(dataset_id)
        for split in candidates:
            if split not in self._ids:
                raise AnceError(f"ir_datasets:{dataset_id}: candidates of '{split}', which is none of its splits")
        self._with_candidates = candidates

    @property
    def name(self) -> str:
        return dataset_name(self._id)

    @property
    def provenance(self) -> Mapping[str, Any]:
        first = ir_datasets.load(self._first)
        of_dpr = issubclass(first.queries_cls(), DprW100Query)
        queries = QueryFormat.WITHOUT_QUESTION_MARK if of_dpr else QueryFormat.TEXT
        made_of = {"source": f"ir_datasets:{self._id}", "splits": self._ids, "candidates": list(self._with_candidates)}
        return made_of | text_format(_passage_format(first.docs_cls()), queries)

    def splits(self) -> tuple[str, ...]:
        return tuple(self._ids)

    def passages(self) -> Iterator[Located[Passage]]:
        return _read(self._first, "docs", _passage)

    def queries(self, split: str) -> Iterator[Located[Query]]:
        for part, prefix in self._parts(split):
            for (query_id, text, answers), where in _read(part, "queries", _query):
                yield Located(Query(f"{prefix}{query_id}", text, answers), where)

    def judgements(self, split: str) -> Iterator[Located[Judgement]]:
        for part, prefix in self._parts(split):
            for (query_id, passage, grade), where in _read(part, "qrels", _judgement):
                yield Located(Judgement(f"{prefix}{query_id}", passage, grade), where)

    def candidates(self, split: str) -> Iterator[Located[Candidate]]:
        if split not in self._with_candidates:
            return
        for part, prefix in self._parts(split):
            entity, convert = _candidates(part)
            for (query, passage), where in _read(part, entity, convert):
                yield Located(Candidate(f"{prefix}{query}", passage), where)

    @property
    def _first(self) -> str:
        """An id of a split: all have the same documents."""
        return next(iter(self._ids.values()))[0]

    def _parts(self, split: str) -> Iterator[tuple[str, str]]:
        """Id of each part, and what comes before the ids of its queries."""
        parts = self._ids[split]
        return ((part, f"{part.removeprefix(self._id + '/')}:" if len(parts) > 1 else "") for part in parts)


def _chosen_ids(dataset_id: str, splits: Mapping[str, Sequence[str]]) -> dict[str, tuple[str, ...]]:
    chosen = {split: tuple(f"{dataset_id}/{part}" for part in parts) for split, parts in splits.items()}
    every = [part for parts in chosen.values() for part in parts]
    for part in every:
        if not _judged(part):
            raise AnceError(f"ir_datasets:{part}: no such id with documents, queries and judgements")
    _require_one_corpus(dataset_id, every)
    return chosen


def _split_ids(dataset_id: str) -> dict[str, tuple[str, ...]]:
    prefix = f"{dataset_id}/"
    family = [one for one in ir_datasets.registry if one.startswith(prefix)]
    ids = {one.removeprefix(prefix): one for one in family if "/" not in one.removeprefix(prefix) and _judged(one)}
    if not ids and _judged(dataset_id):
        return {"test": (dataset_id,)}
    if not ids:
        known = f"its parts are {', '.join(family[:10])}" if family else "see https://ir-datasets.com for the ids"
        raise AnceError(f"ir_datasets:{dataset_id}: no such id with documents, queries and judgements; {known}")
    _require_one_corpus(dataset_id, list(ids.values()))
    return {split: (ids[split],) for split in in_usual_order(ids)}


def _require_one_corpus(dataset_id: str, ids: Sequence[str]) -> None:
    handlers = [ir_datasets.load(one).docs_handler() for one in ids]
    if any(handler != handlers[0] for handler in handlers):
        raise AnceError(f"ir_datasets:{dataset_id}: a group of data sets; choose one: {', '.join(ids)}")


def _judged(dataset_id: str) -> bool:
    try:
        dataset = ir_datasets.load(dataset_id)
    except KeyError:
        return False
    return bool(dataset.has_docs() and dataset.has_queries() and dataset.has_qrels())


def _read(dataset_id: str, entity: str, convert: Callable[[Any], T]) -> Iterator[Located[T]]:
    try:
        records = getattr(ir_datasets.load(dataset_id), f"{entity}_iter")()
        for number, record in enumerate(records, start=1):
            yield Located(convert(record), f"ir_datasets:{dataset_id} {entity} {number}")
    except (OSError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise AnceError(f"ir_datasets:{dataset_id}: {entity} could not be read or downloaded: {reason}") from error


def _candidates(dataset_id: str) -> tuple[str, Callable[[Any], Candidate]]:
    """What holds the candidates of an id, and what makes one of its records."""
    dataset = ir_datasets.load(dataset_id)
    if dataset.has_docpairs():
        return "docpairs", lambda pair: Candidate(pair.query_id, pair.doc_id_b)
    if dataset.has_scoreddocs():
        return "scoreddocs", lambda scored: Candidate(scored.query_id, scored.doc_id)
    raise AnceError(f"ir_datasets:{dataset_id}: has no candidates, neither scored documents nor document pairs")


def _passage_format(kind: type) -> PassageFormat:
    """What is read of a kind of documents."""
    if hasattr(kind, "url") and hasattr(kind, "body"):
        return PassageFormat.URL_SEP_TITLE_SEP_BODY
    if issubclass(kind, DprW100Doc):
        return PassageFormat.TITLE_SEP_TEXT
    if not hasattr(kind, "text") and not hasattr(kind, "body"):
        return PassageFormat.DEFAULT_TEXT
    return PassageFormat.TITLE_TEXT if hasattr(kind, "title") else PassageFormat.TEXT


def _passage(document: Any) -> Passage:
    title = getattr(document, "title", None) or ""
    match _passage_format(type(document)):
        case PassageFormat.URL_SEP_TITLE_SEP_BODY:
            return as_document(document.doc_id, document.url or "", title, document.body or "")
        case PassageFormat.TITLE_SEP_TEXT:
            return as_pair(document.doc_id, title, document.text)
        case PassageFormat.DEFAULT_TEXT:
            return Passage(document.doc_id, "", document.default_text())
    text = document.text if hasattr(document, "text") else document.body
    return Passage(document.doc_id, title, text or "")


def _query(query: Any) -> Query:
    text = query.default_text()
    if isinstance(query, DprW100Query):
        text = without_question_mark(text)
    return Query(query.query_id, text, tuple(getattr(query, "answers", ())))


def _judgement(qrel: Any) -> Judgement:
    return Judgement(qrel.query_id, qrel.doc_id, qrel.relevance)
