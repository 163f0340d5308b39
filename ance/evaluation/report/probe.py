"""What each kind of negative would teach one checkpoint (paper, Figure 4, right)."""

from collections.abc import Mapping
from typing import Any

from ance.evaluation.report.charts import chart, logarithmic, titled
from ance.evaluation.report.convergence import KINDS
from ance.evaluation.report.section import Figure, Missing, Section, Spec, Table
from ance.evaluation.report.theme import Theme

COLUMNS = {
    "n": "n",
    "loss": "loss (nats)",
    "gradient_norm": "gradient norm",
    "gradient_norm_error": "standard error",
    "bound": "its bound",
    "noise": "noise",
    "overlap": "overlap",
}


def probe_section(probe: Mapping[str, Any] | None, command: str) -> Section:
    """Gradient norms by kind of negative.

    Args:
        probe: what `ance probe --json` prints, or None.
        command: what to run to get it.
    """
    title = "What each kind of negative teaches (Figure 4)"
    if probe is None:
        return Section("probe", title, (Missing("No checkpoint of this run was probed yet.", command),))
    kinds: dict[str, dict[str, float]] = {kind: probe["kinds"][kind] for kind in KINDS if kind in probe["kinds"]}
    rows = tuple((KINDS[kind], *(f"{values[column]:.3g}" for column in COLUMNS)) for kind, values in kinds.items())
    parts = (
        Table(f"Means over pairs of {probe['dataset']}, checkpoint {probe['step']}.", _head(), rows),
        Figure("probe", _caption(kinds), lambda theme: _bars(theme, kinds)),
    )
    note = (
        "Gradient norm: of the loss of one query with its positive and one negative, exact. Bound: eq 11 of the paper "
        f"without its constant; its rank correlation with the exact norm is {probe['rank_correlation']:.3f}. Noise: "
        "variance of the gradient over the squared norm of its mean. Overlap: share of the negatives among the "
        f"{probe['candidates']} passages that the checkpoint ranks highest."
    )
    return Section("probe", title, parts, note)


def _head() -> tuple[str, ...]:
    return ("negatives", *COLUMNS.values())


def _caption(kinds: Mapping[str, Mapping[str, float]]) -> str:
    ordered = sorted(kinds, key=lambda kind: -kinds[kind]["gradient_norm"])
    values = " > ".join(f"{KINDS[kind]} {kinds[kind]['gradient_norm']:.3g}" for kind in ordered)
    return f"Mean gradient norm of a pair by kind of negative: {values}."


def _bars(theme: Theme, kinds: Mapping[str, Mapping[str, float]]) -> Spec:
    columns = {"exact": ("gradient_norm", theme.blue, ""), "bound": ("bound", theme.orange, "/")}
    traces = [
        {
            "type": "bar",
            "name": name,
            "x": [KINDS[kind] for kind in kinds],
            "y": [float(f"{values[column]:.5g}") for values in kinds.values()],
            "marker": {
                "color": colour,
                "pattern": {"shape": pattern, "fillmode": "overlay", "fgcolor": theme.surface, "solidity": 0.2},
            },
        }
        for name, (column, colour, pattern) in columns.items()
    ]
    y = logarithmic("gradient norm of a pair (log)")
    return chart(theme, traces, titled("kind of negative"), y, barmode="group")
