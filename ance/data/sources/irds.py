"""Data sets of the `ir_datasets` catalogue, by id: MS MARCO, NQ, TriviaQA, BEIR and many more.

`ir_datasets` downloads and keeps the files itself, at the first use.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import ir_datasets

from ance.data.records import Judgement, Located, Passage, Query
from ance.data.sources.naming import dataset_name
from ance.errors import AnceError

T = TypeVar("T")
USUAL_SPLITS = ("train", "dev", "test")


class IrDatasets:
    """A `Source` of a family of ids: ID/train, ID/dev ... are splits of the documents they share.

    An id without such a family, but with judgements of its own, is one split, `test`.

    Raises:
        AnceError: there is no such id, or it has no judged split.
    """

    def __init__(self, dataset_id: str) -> None:
        self._id = dataset_id
        self._ids = _split_ids(dataset_id)

    @property
    def name(self) -> str:
        return dataset_name(self._id)

    @property
    def provenance(self) -> Mapping[str, Any]:
        return {"source": f"ir_datasets:{self._id}", "splits": self._ids}

    def splits(self) -> tuple[str, ...]:
        return tuple(self._ids)

    def passages(self) -> Iterator[Located[Passage]]:
        # All splits have the same documents.
        return _read(next(iter(self._ids.values())), "docs", _passage)

    def queries(self, split: str) -> Iterator[Located[Query]]:
        return _read(self._ids[split], "queries", _query)

    def judgements(self, split: str) -> Iterator[Located[Judgement]]:
        return _read(self._ids[split], "qrels", _judgement)


def _split_ids(dataset_id: str) -> dict[str, str]:
    prefix = f"{dataset_id}/"
    family = [one for one in ir_datasets.registry if one.startswith(prefix)]
    ids = {one.removeprefix(prefix): one for one in family if "/" not in one.removeprefix(prefix) and _judged(one)}
    if not ids and _judged(dataset_id):
        return {"test": dataset_id}
    if not ids:
        known = f"its parts are {', '.join(family[:10])}" if family else "see https://ir-datasets.com for the ids"
        raise AnceError(f"ir_datasets:{dataset_id}: no such id with documents, queries and judgements; {known}")
    handlers = [ir_datasets.load(one).docs_handler() for one in ids.values()]
    if any(handler != handlers[0] for handler in handlers):
        raise AnceError(f"ir_datasets:{dataset_id}: a group of data sets; choose one: {', '.join(ids.values())}")
    usual = [split for split in USUAL_SPLITS if split in ids]
    return {split: ids[split] for split in usual + sorted(ids.keys() - usual)}


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


def _passage(document: Any) -> Passage:
    for field in ("text", "body"):
        if hasattr(document, field):
            return Passage(document.doc_id, getattr(document, "title", None) or "", getattr(document, field) or "")
    return Passage(document.doc_id, "", document.default_text())


def _query(query: Any) -> Query:
    return Query(query.query_id, query.default_text(), tuple(getattr(query, "answers", ())))


def _judgement(qrel: Any) -> Judgement:
    return Judgement(qrel.query_id, qrel.doc_id, qrel.relevance)
