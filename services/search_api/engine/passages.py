"""From passage rows to what a client sees, and from ids to the rows that may be found."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from services.search_api.models.base import IndexInfo
from services.search_api.models.search import FieldName, Filter, Hit, QueryResult

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ance.data.texts import Texts
    from ance.runtime.contracts import SearchSnapshot


def fetch(
    passages: Texts, rows: NDArray[np.int64], scores: NDArray[np.float32], fields: Sequence[FieldName]
) -> tuple[QueryResult, ...]:
    """The passages of rankings, int64 and float32 [n, k] each, with the wanted fields; rows of -1 are padding."""
    return tuple(
        QueryResult(hits=_hits(passages, ranking.tolist(), of_rows.tolist(), fields))
        for ranking, of_rows in zip(rows, scores, strict=True)
    )


def _hits(passages: Texts, rows: list[int], scores: list[float], fields: Sequence[FieldName]) -> tuple[Hit, ...]:
    found = []
    for row, score in zip(rows, scores, strict=True):
        if row >= 0:
            document = passages.documents[row] if fields else {}
            found.append(Hit(id=passages.ids[row], score=score, **{name: document[name] for name in fields}))
    return tuple(found)


def full_texts(passages: Texts, rows: Sequence[int]) -> list[str]:
    """Title and text of each row as one string, as BM25 and the cross-encoder read them."""
    return [passages.full_text(row) for row in rows]


def allowed_rows(passages: Texts, chosen: Filter | None) -> NDArray[np.bool_] | None:
    """Which passages may be found, bool [passages]; None: all."""
    import numpy as np

    if chosen is None or (chosen.ids is None and chosen.exclude_ids is None):
        return None
    allowed = np.full(len(passages), chosen.ids is None)
    if chosen.ids is not None:
        rows = passages.rows_of(chosen.ids)
        allowed[rows[rows >= 0]] = True
    if chosen.exclude_ids is not None:
        rows = passages.rows_of(chosen.exclude_ids)
        allowed[rows[rows >= 0]] = False
    return allowed


def describe(snapshot: SearchSnapshot) -> IndexInfo:
    """The version as a client sees it. Index and checkpoint share their step: a snapshot has only one."""
    return IndexInfo(
        version=snapshot.step,
        checkpoint_step=snapshot.step,
        created_at=utc(snapshot.created_at),
        age_seconds=max(0.0, time.time() - snapshot.created_at),
    )


def utc(timestamp: float) -> str:
    """Seconds since the epoch as ISO 8601, `2026-01-02T03:04:05Z`."""
    return datetime.fromtimestamp(timestamp, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
