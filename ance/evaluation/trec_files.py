"""TREC run and qrels files of any system, read to be measured and compared."""

import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import ir_measures
import numpy as np
from numpy.typing import NDArray

from ance.data.sources.lines import open_bytes
from ance.errors import AnceError
from ance.evaluation.metrics import parse_measure

N = TypeVar("N", int, float)
ByQuery = dict[str, dict[str, N]]

RUN_LAYOUT = "query Q0 passage rank score tag"
QRELS_LAYOUT = "query 0 passage grade"


def read_run(path: Path) -> ByQuery[float]:
    """Query -> passage -> score. Ranks and tags are not read: trec_eval goes by scores, too.

    Raises:
        AnceError: a line is no line of a run, or ranks a passage twice; the message names file and line.
    """
    return _read(path, RUN_LAYOUT, 4, float)


def read_qrels(path: Path) -> ByQuery[int]:
    """Query -> passage -> grade.

    Raises:
        AnceError: a line is no judgement, or judges a passage twice; the message names file and line.
    """
    return _read(path, QRELS_LAYOUT, 3, int)


def per_query_of_run(
    qrels: ByQuery[int], run: ByQuery[float], measures: Sequence[str]
) -> Mapping[str, NDArray[np.float64]]:
    """Each measure of each query that has a relevant passage, in the order of the qrels: measure -> float64 [Q].

    A query that the run lacks counts as 0. All measures are of one ranking, trec_eval's: by score as a float32, the
    highest first, and equal ones by the passage's id, the last in the alphabet first.

    Raises:
        AnceError: no query has a relevant passage, none of those that have one is in the run, or a measure is none
            that can be used.
    """
    judged = {query: grades for query, grades in qrels.items() if max(grades.values()) > 0}
    if not judged:
        raise AnceError(f"evaluation: none of the {len(qrels)} queries has a relevant passage, check the qrels")
    if judged.keys().isdisjoint(run):
        raise AnceError(
            f"evaluation: none of the {len(judged)} queries with a relevant passage is in the run, whose first is "
            f"'{next(iter(run), '')}'; give the run and the qrels of the same queries"
        )
    rows = {query: row for row, query in enumerate(judged)}
    parsed = {name: parse_measure(name) for name in measures}
    values = {measure: np.zeros(len(rows)) for measure in parsed.values()}
    ranked = {query: _by_rank(run[query]) for query in judged if query in run}
    for query, measure, value in ir_measures.iter_calc(list(values), judged, ranked):
        values[measure][rows[query]] = value
    return {name: values[measure] for name, measure in parsed.items()}


def _by_rank(scores: Mapping[str, float]) -> dict[str, float]:
    """The passages of a query in the order of trec_eval, with scores that no tool can order otherwise."""
    order = sorted(scores, key=lambda passage: (np.float32(scores[passage]), passage), reverse=True)
    return {passage: float(-rank) for rank, passage in enumerate(order)}


def _read(path: Path, layout: str, column: int, number: Callable[[str], N]) -> ByQuery[N]:
    """Query -> passage -> the number in a column of each line."""
    found: ByQuery[N] = {}
    width = len(layout.split())
    with open_bytes(path) as file, io.TextIOWrapper(file, encoding="utf-8") as lines:
        for count, line in enumerate(lines, 1):
            columns = line.split()
            if not columns:
                continue
            try:
                if len(columns) != width:
                    raise ValueError(f"found {len(columns)} columns")
                value = number(columns[column])
            except ValueError as error:
                raise AnceError(f"{path}:{count}: {error}; expected {width} columns: {layout}") from error
            passages = found.setdefault(columns[0], {})
            if columns[2] in passages:
                raise AnceError(f"{path}:{count}: query '{columns[0]}' has passage '{columns[2]}' before; remove one")
            passages[columns[2]] = value
    if not found:
        raise AnceError(f"{path}: has no line; expected {layout}")
    return found
