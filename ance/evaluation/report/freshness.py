"""How stale the negatives are and what the newer ones are worth (paper, Figure 5)."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ance.evaluation.report.charts import chart, line, titled
from ance.evaluation.report.convergence import column, stage_change
from ance.evaluation.report.section import Figure, Missing, Section, Spec
from ance.evaluation.report.theme import Theme

MEASURE = "RR@10"


def freshness_section(
    steps: Sequence[Mapping[str, Any]], refreshes: Sequence[Mapping[str, Any]], command: str
) -> Section:
    """The async gap by step and the dev metric by version.

    Args:
        steps: the run's series, with `async_gap` (None before the first mined negatives).
        refreshes: records of the refreshes, with `step` and `dev`.
        command: what to run to get both.
    """
    title = "Async gap and dev quality by version (Figure 5)"
    parts: list[Figure | Missing] = []
    if any(step["async_gap"] is not None for step in steps):
        parts.append(Figure("async-gap", _gap_caption(steps), lambda theme: _gap(theme, steps)))
    else:
        parts.append(Missing("No step was trained on mined negatives yet.", command))
    measured = [refresh for refresh in refreshes if MEASURE in refresh["dev"]]
    if measured:
        parts.append(Figure("dev", _dev_caption(measured), lambda theme: _dev(theme, measured)))
    else:
        parts.append(Missing("No version is measured on a dev split yet.", command))
    note = "Async gap = the trainer's step minus the step of the checkpoint that its negatives were mined with."
    return Section("freshness", title, tuple(parts), note)


def _gap(theme: Theme, steps: Sequence[Mapping[str, Any]]) -> Spec:
    x, gap = column(steps, "step"), column(steps, "async_gap")
    traces = [line("async gap", x, gap, theme.blue)]
    y = titled("async gap (steps)", rangemode="tozero")
    return chart(theme, traces, titled("step"), y, showlegend=False, **stage_change(theme, steps))


def _gap_caption(steps: Sequence[Mapping[str, Any]]) -> str:
    gaps, seconds = column(steps, "async_gap"), column(steps, "async_gap_seconds")
    return (
        f"The negatives in use are {np.nanmean(gaps):.0f} steps old on average and {np.nanmax(gaps):.0f} at most "
        f"({np.nanmean(seconds):.0f} and {np.nanmax(seconds):.0f} s); each fall is a new version."
    )


def _dev(theme: Theme, refreshes: Sequence[Mapping[str, Any]]) -> Spec:
    x = np.array([refresh["step"] for refresh in refreshes], np.float64)
    y = np.array([refresh["dev"][MEASURE] for refresh in refreshes], np.float64)
    traces = [line(MEASURE, x, y, theme.green, mode="lines+markers", marker={"size": 8})]
    return chart(theme, traces, titled("checkpoint step of the version"), titled(f"dev {MEASURE}"), showlegend=False)


def _dev_caption(refreshes: Sequence[Mapping[str, Any]]) -> str:
    first, last = refreshes[0], refreshes[-1]
    best = max(refreshes, key=lambda refresh: float(refresh["dev"][MEASURE]))
    return (
        f"Dev {MEASURE} goes from {first['dev'][MEASURE]:.3f} (step {first['step']}) to {last['dev'][MEASURE]:.3f} "
        f"(step {last['step']}); the best of {len(refreshes)} versions is that of step {best['step']} with "
        f"{best['dev'][MEASURE]:.3f}."
    )
