"""A folder in the layout of the BEIR benchmark: `corpus.jsonl`, `queries.jsonl`, `qrels/<split>.tsv`.

The layout is described at https://github.com/beir-cellar/beir/wiki/Load-your-custom-dataset. For open-domain question
answering it may have `answers.jsonl`, too: {"_id": query id, "answers": [text, ...]} a line.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from ance.data.records import Invalid, Judgement, Located, Passage, Query, Reason, Source
from ance.data.sources.lines import grade, read_records
from ance.data.sources.naming import dataset_name, in_usual_order
from ance.data.text_format import PassageFormat, text_format
from ance.errors import AnceError

T = TypeVar("T")
LAYOUT = "expected corpus.jsonl, queries.jsonl and qrels/<split>.tsv"
ANSWERS = "answers.jsonl"
QRELS_HEADER = ("query-id", "corpus-id", "score")


class Beir(Source):
    """A `Source` of a BEIR folder. Every file of `qrels` is a split.

    Raises:
        AnceError: the folder or one of its files is missing.
    """

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise AnceError(f"{folder}: no such folder; a BEIR data set is a folder: {LAYOUT}")
        for name in ("corpus.jsonl", "queries.jsonl"):
            if not (folder / name).is_file():
                raise AnceError(f"{folder}: {name} is missing; {LAYOUT}")
        splits = {path.stem for path in (folder / "qrels").glob("*.tsv")}
        if not splits:
            raise AnceError(f"{folder}: qrels holds no .tsv file; {LAYOUT}")
        self._folder = folder
        self._splits = tuple(in_usual_order(splits))

    @property
    def name(self) -> str:
        return dataset_name(self._folder.resolve().name)

    @property
    def provenance(self) -> Mapping[str, Any]:
        return {"source": f"beir:{self._folder}"} | text_format(PassageFormat.TITLE_TEXT)

    def splits(self) -> tuple[str, ...]:
        return self._splits

    def passages(self) -> Iterator[Located[Passage] | Invalid]:
        return self._read("corpus.jsonl", _passage)

    def queries(self, split: str) -> Iterator[Located[Query] | Invalid]:
        answers: dict[str, tuple[str, ...]] = {}
        if (self._folder / ANSWERS).is_file():
            for record in self._read(ANSWERS, _answers):
                if isinstance(record, Invalid):
                    yield record
                else:
                    answers.setdefault(*record.record)
        for query in self._read("queries.jsonl", _query):
            if isinstance(query, Invalid):
                yield query
            else:
                text_id, text, _ = query.record
                yield Located(Query(text_id, text, answers.get(text_id, ())), query.where)

    def judgements(self, split: str) -> Iterator[Located[Judgement] | Invalid]:
        name = f"qrels/{split}.tsv"
        for record in self._read(name, _columns):
            if isinstance(record, Invalid):
                yield record
                continue
            columns, where = record
            if columns == QRELS_HEADER and where == f"{name}:1":
                continue
            query_id, passage_id, score = columns
            try:
                yield Located(Judgement(query_id, passage_id, grade(score, "score")), where)
            except ValueError as error:
                yield Invalid(Reason.MALFORMED, where, str(error))

    def _read(self, name: str, parse: Callable[[str], T]) -> Iterator[Located[T] | Invalid]:
        return read_records(self._folder / name, name, parse)


def _passage(line: str) -> Passage:
    values = _object(line)
    # Not every writer leaves out a title that is none: some have null.
    title = "" if values.get("title") is None else _string(values, "title")
    return Passage(_id(values), title, _string(values, "text"))


def _query(line: str) -> Query:
    values = _object(line)
    return Query(_id(values), _string(values, "text"))


def _answers(line: str) -> tuple[str, tuple[str, ...]]:
    values = _object(line)
    answers = values.get("answers")
    if not isinstance(answers, list) or not all(isinstance(answer, str) for answer in answers):
        raise ValueError("'answers' is missing or no list of strings")
    return _id(values), tuple(answers)


def _object(line: str) -> dict[str, Any]:
    try:
        values = json.loads(line)
    except json.JSONDecodeError as error:
        raise ValueError(f"is not JSON: {error.msg} at column {error.colno}") from error
    except RecursionError as error:
        raise ValueError("is nested too deeply") from error
    if not isinstance(values, dict):
        raise ValueError(f"is {_type(values)}, expected an object with '_id' and 'text'")
    return values


def _id(values: dict[str, Any]) -> str:
    text_id = _string(values, "_id")
    if not text_id.strip():
        raise ValueError("'_id' is empty")
    return text_id


def _string(values: dict[str, Any], key: str) -> str:
    value = values.get(key)
    if isinstance(value, str):
        return value
    if key not in values:
        raise ValueError(f"'{key}' is missing")
    raise ValueError(f"'{key}' is {_type(value)}, expected a string")


def _type(value: object) -> str:
    names = {dict: "an object", list: "a list", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number" if isinstance(value, int | float) else "a string")


def _columns(line: str) -> tuple[str, str, str]:
    columns = line.split("\t")
    expected = f"expected 3 columns between tabs, {', '.join(QRELS_HEADER)}"
    if len(columns) != len(QRELS_HEADER):
        raise ValueError(f"{expected}; found {len(columns)}")
    if not all(column.strip() for column in columns):
        raise ValueError(f"{expected}; one is empty")
    return (columns[0], columns[1], columns[2].strip())
