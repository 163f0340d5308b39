"""Rankings as files that other evaluation tools read."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ance.errors import AnceError


def write_run(
    path: Path,
    query_ids: Sequence[str],
    passage_ids: Sequence[str],
    ids: NDArray[np.int64],
    scores: NDArray[np.float32],
    tag: str,
) -> None:
    """Write a ranking as a TREC run: `query Q0 passage rank score tag`, rank from 1, best first.

    The file appears whole or not at all. Scores have the 9 digits that tell any two float32 apart; note that
    trec_eval sorts by them, and equal ones by its own rule, whatever the rank says.

    Args:
        path: file to write or replace.
        query_ids: the id of each query row.
        passage_ids: the id of each passage row.
        ids: int64 [Q, k], passage rows, best first; -1 is padding.
        scores: float32 [Q, k].
        tag: name of the system.

    Raises:
        AnceError: an id or the tag is empty or has white space in it, which the format cannot hold.
    """
    _check_field("tag", tag)
    rows = np.unique(ids[ids >= 0])
    names = {int(row): passage_ids[row] for row in rows}
    for name in names.values():
        _check_field("passage id", name)
    part = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with part.open("w", encoding="utf-8") as file:
            for line, (passages, values) in enumerate(zip(ids.tolist(), scores.tolist(), strict=True)):
                query = query_ids[line]
                _check_field("query id", query)
                file.writelines(
                    f"{query} Q0 {names[passage]} {rank} {score:.9g} {tag}\n"
                    for rank, (passage, score) in enumerate(zip(passages, values, strict=True), 1)
                    if passage >= 0
                )
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _check_field(kind: str, value: str) -> None:
    if value.split() != [value]:
        raise AnceError(f"TREC run: {kind} {value!r} is empty or has white space in it, rename it")
