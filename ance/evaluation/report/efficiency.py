"""What a refresh and a search cost (paper, Table 5)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ance.evaluation.report.charts import chart, numbers, titled
from ance.evaluation.report.section import Figure, Missing, Section, Spec, Table
from ance.evaluation.report.theme import Theme

STAGES = {
    "encode": "encode the query",
    "search": "search the index",
    "bm25": "search BM25",
    "rerank": "rerank {depth} BM25 passages with BERT",
}
"""Stages of a search in the order of the table."""

Latencies = Mapping[str, Sequence[float]]
"""Seconds of single queries by stage, see `STAGES`."""


def efficiency_section(
    steps: Sequence[Mapping[str, Any]],
    refreshes: Sequence[Mapping[str, Any]],
    latencies: Latencies,
    depth: int,
    command: str,
    reranker_command: str,
) -> Section:
    """Times of training and refreshes as the run recorded them, and of searches as the report measured them.

    Args:
        steps: records with `seconds`.
        refreshes: records with `rows` and the seconds of their phases.
        latencies: measured on this machine; stages that the run cannot offer are left out.
        depth: passages that are reranked for a query.
        command: what to run to get refreshes.
        reranker_command: what to run to get a reranker.
    """
    title = "What it costs (Table 5)"
    rows = [*_refresh_rows(refreshes), *_step_rows(steps), *_latency_rows(latencies, depth)]
    parts: list[Figure | Table | Missing] = []
    if rows:
        caption = "Median times; a search is one query at a time."
        parts.append(Table(caption, ("work", "median", "p95", "n"), tuple(rows)))
    if refreshes:
        parts.append(Figure("refresh-cost", _refresh_caption(refreshes), lambda theme: _phases(theme, refreshes)))
    else:
        parts.append(Missing("No refresh is recorded yet.", command))
    if latencies and "rerank" not in latencies:
        parts.append(Missing("There is no reranker to compare with.", reranker_command))
    note = (
        "Refreshes and training steps: as recorded during the run, with everything else that ran beside it. Searches: "
        "on the machine that made this report. Encoding a refresh includes the time that its tasks waited for a worker."
    )
    return Section("efficiency", title, tuple(parts), note)


def encode_seconds(refresh: Mapping[str, Any]) -> float:
    """Seconds of a refresh that were spent on waiting for vectors."""
    return float(refresh["refresh_seconds"] - refresh["merge_seconds"] - refresh["negatives_seconds"])


def _refresh_rows(refreshes: Sequence[Mapping[str, Any]]) -> list[tuple[str, ...]]:
    if not refreshes:
        return []
    rows_encoded = [sum(refresh["rows"].values()) for refresh in refreshes]
    encode = [encode_seconds(refresh) for refresh in refreshes]
    per_row = [seconds / rows for seconds, rows in zip(encode, rows_encoded, strict=True)]
    return [
        _row("a refresh, whole", [refresh["refresh_seconds"] for refresh in refreshes]),
        _row(f"— encode {rows_encoded[-1]:,} queries and passages", encode),
        _row("— the same for one of them", per_row),
        _row("— merge top-k, build the index", [refresh["merge_seconds"] for refresh in refreshes]),
        _row("— sample and publish negatives", [refresh["negatives_seconds"] for refresh in refreshes]),
    ]


def _step_rows(steps: Sequence[Mapping[str, Any]]) -> list[tuple[str, ...]]:
    return [_row("a training step", [step["seconds"] for step in steps])] if steps else []


def _latency_rows(latencies: Latencies, depth: int) -> list[tuple[str, ...]]:
    return [_row(name.format(depth=depth), latencies[stage]) for stage, name in STAGES.items() if stage in latencies]


def _row(name: str, seconds: Sequence[float]) -> tuple[str, ...]:
    return (name, duration(float(np.median(seconds))), duration(float(np.percentile(seconds, 95))), f"{len(seconds):,}")


def duration(seconds: float) -> str:
    """Seconds with the unit that leaves one to three digits before the point."""
    for factor, unit in ((1.0, "s"), (1e3, "ms")):
        if seconds * factor >= 1:
            return f"{seconds * factor:.3g} {unit}" if seconds * factor < 1000 else f"{seconds * factor:,.0f} {unit}"
    return f"{seconds * 1e6:.3g} µs"


def _refresh_caption(refreshes: Sequence[Mapping[str, Any]]) -> str:
    share = sum(map(encode_seconds, refreshes)) / sum(refresh["refresh_seconds"] for refresh in refreshes)
    return f"Encoding takes {share:.0%} of the time of {len(refreshes)} refreshes: it is what more inferencers shorten."


def _phases(theme: Theme, refreshes: Sequence[Mapping[str, Any]]) -> Spec:
    phases = {
        "encode": ([encode_seconds(refresh) for refresh in refreshes], theme.blue, ""),
        "merge and index": ([refresh["merge_seconds"] for refresh in refreshes], theme.orange, "/"),
        "negatives": ([refresh["negatives_seconds"] for refresh in refreshes], theme.purple, "x"),
    }
    traces = [
        {
            "type": "bar",
            "name": name,
            "x": [str(refresh["step"]) for refresh in refreshes],
            "y": numbers(np.array(seconds, np.float64)),
            "marker": {
                "color": colour,
                "pattern": {"shape": pattern, "fillmode": "overlay", "fgcolor": theme.surface, "solidity": 0.2},
            },
        }
        for name, (seconds, colour, pattern) in phases.items()
    ]
    x = titled("checkpoint step of the version", type="category")
    return chart(theme, traces, x, titled("time (s)"), barmode="stack")
