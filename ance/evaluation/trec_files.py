"""TREC run and qrels files of any system, read to be measured and compared."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import ir_measures
import numpy as np
from numpy.typing import NDArray

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

    A query that the run lacks counts as 0.

    Raises:
        AnceError: no query has a relevant passage, or a measure is none that can be used.
    """
    judged = {query: grades for query, grades in qrels.items() if max(grades.values()) > 0}
    if not judged:
        raise AnceError(f"evaluation: none of the {len(qrels)} queries has a relevant passage, check the qrels")
    rows = {query: row for row, query in enumerate(judged)}
    names = {parse_measure(name): name for name in measures}
    values = {name: np.zeros(len(rows)) for name in measures}
    for query, parsed, value in ir_measures.iter_calc(list(names), judged, run):
        values[names[parsed]][rows[query]] = value
    return values


def _read(path: Path, layout: str, column: int, number: Callable[[str], N]) -> ByQuery[N]:
    """Query -> passage -> the number in a column of each line."""
    found: ByQuery[N] = {}
    width = len(layout.split())
    with path.open(encoding="utf-8") as lines:
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
