"""The files of DPR for open-domain question answering (Karpukhin et al., EMNLP 2020): one task, or several at once."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ance.data.answer_match import REGEX
from ance.data.records import Candidate, Invalid, Judgement, Located, Passage, Query, Reason, Source
from ance.data.sources.dpr_passages import parse_passage
from ance.data.sources.dpr_questions import Question, parse_question, parse_test_question
from ance.data.sources.json_array import read_json_array
from ance.data.sources.lines import read_records
from ance.data.sources.naming import USUAL_SPLITS, dataset_name
from ance.data.text_format import PassageFormat, QueryFormat, text_format
from ance.errors import AnceError

LAYOUT = (
    "expected psgs_w100.tsv, and questions as TASK-train.json, TASK-dev.json and TASK-test.qa.csv, such as "
    "biencoder-nq-train.json, each as it is or .gz"
)
_NAME = re.compile(r"(?:biencoder-)?([A-Za-z0-9_]+)-(train|dev|test)\.(json|qa\.csv|csv)")
_REGEX_TASKS = frozenset({"curatedtrec", "trec"})
"""Tasks whose answers are regular expressions."""


class _File(NamedTuple):
    path: Path
    task: str
    part: str

    @property
    def is_json(self) -> bool:
        return ".json" in self.path.suffixes


class Dpr(Source):
    """A `Source` of a folder of DPR's files.

    Of one task the splits are train, dev and test. Of several, train and dev are those of all tasks together, and each
    task's dev and test are named query sets, too: dev_nq, test_nq. A test set knows answers, not passages: Coverage@k
    is measured on it. Hard negatives of the JSON are candidates of the question. Where a part is there as JSON and as
    .csv, such as nq-dev.qa.csv, the JSON is read: it has the passages, too.

    Raises:
        AnceError: a file is missing, or two are of the same task and part.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._corpus, files = _find(folder)
        self._splits = _splits(files)

    @property
    def name(self) -> str:
        return dataset_name(self._folder.resolve().name)

    @property
    def provenance(self) -> Mapping[str, Any]:
        """The files by split, and what is read of a text."""
        files = {split: [file.path.name for file in of_split] for split, of_split in self._splits.items()}
        texts = text_format(PassageFormat.TITLE_SEP_TEXT, QueryFormat.WITHOUT_QUESTION_MARK)
        return {"source": f"dpr:{self._folder}", "corpus": self._corpus.name, "files": files} | texts

    def splits(self) -> tuple[str, ...]:
        return tuple(self._splits)

    def is_judged(self, split: str) -> bool:
        return any(file.is_json for file in self._splits[split])

    def passages(self) -> Iterator[Located[Passage] | Invalid]:
        for record in read_records(self._corpus, self._corpus.name, parse_passage):
            if isinstance(record, Invalid):
                yield record
            elif record.record is not None:
                yield Located(record.record, record.where)

    def queries(self, split: str) -> Iterator[Located[Query] | Invalid]:
        for question in self._questions(split):
            if isinstance(question, Invalid):
                yield question
            else:
                (query_id, (text, answers, _, _)), where = question
                patterns = query_id.split("-")[0] in _REGEX_TASKS
                yield Located(Query(query_id, text, _as_patterns(answers) if patterns else answers), where)

    def judgements(self, split: str) -> Iterator[Located[Judgement] | Invalid]:
        for question in self._questions(split):
            if isinstance(question, Invalid):
                yield question
            else:
                (query_id, (_, _, positives, _)), where = question
                yield from (Located(Judgement(query_id, *context), where) for context in positives)

    def candidates(self, split: str) -> Iterator[Located[Candidate] | Invalid]:
        for question in self._questions(split):
            if isinstance(question, Invalid):
                yield question
            else:
                (query_id, (_, _, _, negatives)), where = question
                yield from (Located(Candidate(query_id, passage), where) for passage in negatives)

    def _questions(self, split: str) -> Iterator[Located[tuple[str, Question]] | Invalid]:
        """Id and question. DPR gives no ids: they are task, part and place in the file, counted from 1."""
        for file in self._splits[split]:
            questions = _json_questions(file.path) if file.is_json else _test_questions(file.path)
            for number, question in enumerate(questions, 1):
                if isinstance(question, Invalid):
                    yield question
                else:
                    yield Located((f"{file.task}-{file.part}-{number}", question.record), question.where)


def _as_patterns(answers: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(f"{REGEX}{answer}" for answer in answers)


def _json_questions(path: Path) -> Iterator[Located[Question] | Invalid]:
    for value, line in read_json_array(path):
        where = f"{path.name}:{line}"
        try:
            yield Located(parse_question(value), where)
        except ValueError as error:
            yield Invalid(Reason.MALFORMED, where, str(error))


def _test_questions(path: Path) -> Iterator[Located[Question] | Invalid]:
    return read_records(path, path.name, parse_test_question)


def _find(folder: Path) -> tuple[Path, list[_File]]:
    if not folder.is_dir():
        raise AnceError(f"{folder}: no such folder; {LAYOUT}")
    paths = {path.name.removesuffix(".gz"): path for path in sorted(folder.iterdir()) if path.is_file()}
    corpus = paths.get("psgs_w100.tsv")
    if corpus is None:
        raise AnceError(f"{folder}: psgs_w100.tsv is missing; {LAYOUT}")
    found = [_File(paths[name], match[1], match[2]) for name in paths if (match := _NAME.fullmatch(name))]
    if not found:
        raise AnceError(f"{folder}: holds no questions; {LAYOUT}")
    taken: dict[tuple[str, str], _File] = {}
    for file in sorted(found, key=lambda file: not file.is_json):  # JSON first
        other = taken.setdefault((file.task, file.part), file)
        if other is not file and other.is_json == file.is_json:
            raise AnceError(f"{file.path}: {other.path.name} is the {file.part} part of '{file.task}', too; remove one")
    return corpus, [file for file in found if file in taken.values()]


def _splits(files: list[_File]) -> dict[str, tuple[_File, ...]]:
    tasks = sorted({file.task for file in files})
    together = {part: tuple(file for file in files if file.part == part) for part in USUAL_SPLITS}
    if len(tasks) == 1:
        return {part: of_part for part, of_part in together.items() if of_part}
    named = {f"{part}_{file.task}": (file,) for part in ("dev", "test") for file in together[part]}
    return {part: together[part] for part in ("train", "dev") if together[part]} | named
