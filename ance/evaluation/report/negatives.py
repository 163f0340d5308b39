"""Why negatives must come from the index: few passages are near, and only fresh negatives are those (Figure 3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ance.evaluation.report.charts import Floats, chart, line, numbers, titled
from ance.evaluation.report.section import Figure, Missing, Section, Spec
from ance.evaluation.report.theme import Theme

MAX_RANKS = 160


@dataclass(frozen=True, slots=True)
class ScoreTail:
    """Scores of the whole corpus by rank for some queries.

    Attributes:
        step: of the checkpoint that scored.
        passages: size of the corpus.
        ranks: int64 [r], from 1, evenly spaced on a log scale.
        margins: score minus the query's mean over the corpus, float64 [queries, r].
    """

    step: int
    passages: int
    ranks: NDArray[np.int64]
    margins: Floats


def score_tail(scores: NDArray[np.float32], step: int) -> ScoreTail:
    """From the scores of every passage for each query, float32 [queries, passages], in any order."""
    passages = scores.shape[1]
    ranks = np.unique(np.geomspace(1, passages, min(passages, MAX_RANKS)).round().astype(np.int64))
    by_rank = np.sort(scores, axis=1)[:, ::-1]
    margins = by_rank[:, ranks - 1] - scores.mean(axis=1, keepdims=True, dtype=np.float64)
    return ScoreTail(step, passages, ranks, margins)


def negatives_section(
    tail: ScoreTail | None, refreshes: Sequence[Mapping[str, Any]], candidates: int, command: str
) -> Section:
    """The long tail of scores, and the overlap of each kind of negatives with the current top candidates.

    Args:
        tail: or None where no embeddings are in the store.
        refreshes: records with `step`, `rows` and `overlap` (of `previous`, `bm25` and `current_topk`).
        candidates: how many top passages of a query count as its hard negatives.
        command: what to run to get both.
    """
    title = "Which negatives are informative (Figure 3)"
    parts: list[Figure | Missing] = []
    if tail is not None:
        parts.append(Figure("score-tail", _tail_caption(tail), lambda theme: _tail(theme, tail)))
    else:
        parts.append(Missing("No version with the embeddings of a dev split is in the store.", command))
    compared = [refresh for refresh in refreshes if refresh["overlap"]]
    if compared:
        caption = _overlap_caption(compared, candidates)
        parts.append(Figure("overlap", caption, lambda theme: _overlap(theme, compared, candidates)))
    else:
        parts.append(Missing("No version was compared with earlier negatives yet.", command))
    note = (
        f"Overlap: the share of a training query's {candidates} highest-ranked passages under a version that are also "
        "among the candidates of the negatives compared, mean over the queries; that of random negatives is the "
        "expected value. In use: the share of the negatives trained on that are still among those passages."
    )
    return Section("negatives", title, tuple(parts), note)


def _tail(theme: Theme, tail: ScoreTail) -> Spec:
    ranks = numbers(tail.ranks)
    each = [
        {
            "type": "scatter",
            "mode": "lines",
            "name": "one query",
            "legendgroup": "each",
            "showlegend": row == 0,
            "x": ranks,
            "y": numbers(margins),
            "line": {"color": theme.gray, "width": 1},
            "hoverinfo": "skip",
        }
        for row, margins in enumerate(tail.margins)
    ]
    middle = {
        "type": "scatter",
        "mode": "lines",
        "name": "median query",
        "x": ranks,
        "y": numbers(np.median(tail.margins, axis=0)),
        "line": {"color": theme.blue, "width": 3},
    }
    x = titled("rank of the passage (log)", type="log", dtick=1)
    return chart(theme, [*each, middle], x, titled("score − mean score of the corpus"))


def _tail_caption(tail: ScoreTail) -> str:
    half = tail.margins >= tail.margins[:, :1] / 2
    near = int(np.median(tail.ranks[half.sum(axis=1) - 1]))
    return (
        f"Scores have a long tail: for the median of {len(tail.margins)} dev queries about {near:,} of "
        f"{tail.passages:,} passages ({near / tail.passages:.1%}) keep at least half of the best passage's lead over "
        f"the corpus (checkpoint {tail.step})."
    )


def _overlap(theme: Theme, refreshes: Sequence[Mapping[str, Any]], candidates: int) -> Spec:
    x = np.array([refresh["step"] for refresh in refreshes], np.float64)
    series = {
        "ANCE in use": (_overlaps(refreshes, "current_topk"), theme.green, "diamond"),
        "ANCE, version before": (_overlaps(refreshes, "previous"), theme.blue, "circle"),
        "BM25": (_overlaps(refreshes, "bm25"), theme.orange, "square"),
        "random (expected)": (
            np.array([min(1.0, candidates / refresh["rows"]["passages"]) for refresh in refreshes]),
            theme.gray,
            "x",
        ),
    }
    traces = [
        line(name, x, values, colour, mode="lines+markers", marker={"symbol": symbol, "size": 8})
        for name, (values, colour, symbol) in series.items()
        if np.isfinite(values).any()
    ]
    y = titled("overlap (share)", range=[0, 1.03], tickformat=".0%")
    return chart(theme, traces, titled("checkpoint step of the version"), y)


def _overlap_caption(refreshes: Sequence[Mapping[str, Any]], candidates: int) -> str:
    last = refreshes[-1]
    means = {"previous": "the version before shares {:.0%}", "bm25": "BM25 {:.0%}"}
    parts = [text.format(last["overlap"][name]) for name, text in means.items() if name in last["overlap"]]
    return (
        f"Of the top {candidates} passages under the newest version (step {last['step']}), "
        f"{', '.join(parts)} and random negatives {min(1, candidates / last['rows']['passages']):.1%}."
    )


def _overlaps(refreshes: Sequence[Mapping[str, Any]], reference: str) -> Floats:
    return np.array([refresh["overlap"].get(reference, np.nan) for refresh in refreshes], np.float64)
