"""Answers to the queries of a split (open-domain question answering), by query row."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from ance.data.ragged import Decoded, Ragged, RaggedWriter

_TEXTS, _OFFSETS = "answers.bin", "answers.npy"


def write_answers(folder: Path, query_ids: Sequence[str], answers: Mapping[str, Sequence[str]]) -> None:
    """Write the answers of each query, in row order, beside its text.

    Args:
        folder: of the queries.
        query_ids: id of each query row.
        answers: by query id; a query without any gets none.
    """
    with RaggedWriter(folder / _TEXTS, folder / _OFFSETS, np.uint8) as writer:
        for query_id in query_ids:
            line = json.dumps(list(answers.get(query_id, ())), ensure_ascii=False)
            writer.append(np.frombuffer(line.encode(), np.uint8))


def open_answers(folder: Path) -> Sequence[list[str]] | None:
    """What `write_answers` wrote, decoded when asked for; None where the queries have no answers."""
    if not (folder / _OFFSETS).is_file():
        return None
    return Decoded(Ragged.open(folder / _TEXTS, folder / _OFFSETS, np.uint8), _decode)


def answered_splits(paths: Iterable[str]) -> frozenset[str]:
    """The splits whose queries have answers, by the paths of the files in a data set's folder."""
    return frozenset(Path(path).parent.name for path in paths if Path(path).name == _OFFSETS)


def _decode(line: bytes) -> list[str]:
    answers: list[str] = json.loads(line)
    return answers
