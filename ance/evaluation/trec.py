"""Rankings and judgements as files that other evaluation tools read, such as trec_eval."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from ance.data.dataset import Dataset
from ance.data.qrels import Qrels
from ance.errors import AnceError
from ance.evaluation.ranking import Ranking

WHITE_SPACE = re.compile(r"\s")


def write_run(
    path: Path,
    query_ids: Sequence[str],
    passage_ids: Sequence[str],
    ids: NDArray[np.int64],
    scores: NDArray[np.float32],
    tag: str,
) -> None:
    """Write a ranking as a TREC run: `query Q0 passage rank score tag`, rank from 1, best first.

    The file appears whole or not at all. trec_eval sorts by scores, equal ones by its own rule, whatever the rank
    says: where scores do not fall, the later one is lowered to the next float32, which its 9 digits tell apart. So
    every tool measures the ranking that is written. For ids see `field`.

    Args:
        path: file to write or replace.
        query_ids: the id of each query row.
        passage_ids: the id of each passage row.
        ids: int64 [Q, k], passage rows, best first; -1 is padding.
        scores: float32 [Q, k].
        tag: name of the system.

    Raises:
        AnceError: the tag is empty or has white space in it, which the format cannot hold.
    """
    if tag.split() != [tag]:
        raise AnceError(f"TREC run: tag {tag!r} is empty or has white space in it, rename it")
    names = _names(passage_ids, ids[ids >= 0])

    def lines() -> Iterator[str]:
        for row, (passages, values) in enumerate(zip(ids.tolist(), _falling(scores).tolist(), strict=True)):
            query = field(query_ids[row])
            for rank, (passage, score) in enumerate(zip(passages, values, strict=True), 1):
                if passage >= 0:
                    yield f"{query} Q0 {names[passage]} {rank} {score:.9g} {tag}\n"

    _write(path, lines())


def write_qrels(path: Path, query_ids: Sequence[str], passage_ids: Sequence[str], qrels: Qrels) -> None:
    """Write judgements as TREC qrels: `query 0 passage grade`. The file appears whole or not at all.

    Args:
        path: file to write or replace.
        query_ids: the id of each query row.
        passage_ids: the id of each passage row.
    """
    names = _names(passage_ids, qrels.passages)

    def lines() -> Iterator[str]:
        for row in range(qrels.queries):
            query, judged = field(query_ids[row]), slice(qrels.indptr[row], qrels.indptr[row + 1])
            for passage, grade in zip(qrels.passages[judged].tolist(), qrels.grades[judged].tolist(), strict=True):
                yield f"{query} 0 {names[passage]} {grade}\n"

    _write(path, lines())


def write_split(folder: Path, run: str, dataset: Dataset, split: str, rankings: Mapping[str, Ranking]) -> None:
    """Write the qrels of a split, `SPLIT.qrels`, and each system's ranking, `SYSTEM.SPLIT.run`, tagged RUN-SYSTEM."""
    folder.mkdir(parents=True, exist_ok=True)
    query_ids, passage_ids = dataset.queries(split).ids, dataset.passages.ids
    write_qrels(folder / f"{split}.qrels", query_ids, passage_ids, dataset.qrels(split))
    for system, ranking in rankings.items():
        path = folder / f"{system}.{split}.run"
        write_run(path, query_ids, passage_ids, ranking.ids, ranking.scores, f"{run}-{system}")


def field(text_id: str) -> str:
    """An id as it stands in a file: columns end at white space, so that in ids is percent-encoded."""
    return WHITE_SPACE.sub(lambda found: quote(found[0]), text_id)


def _falling(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scores float32 [Q, k] that fall from rank to rank, the same wherever they did."""
    falling = scores.copy()
    for rank in range(1, scores.shape[1]):
        below = np.nextafter(falling[:, rank - 1], np.float32(-np.inf))
        falling[:, rank] = np.minimum(falling[:, rank], below)
    return falling


def _names(passage_ids: Sequence[str], rows: NDArray[np.int64]) -> dict[int, str]:
    return {int(row): field(passage_ids[row]) for row in np.unique(rows)}


def _write(path: Path, lines: Iterable[str]) -> None:
    part = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with part.open("w", encoding="utf-8") as file:
            file.writelines(lines)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
