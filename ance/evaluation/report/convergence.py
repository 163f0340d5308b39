"""Whether training learns: loss and gradient norms by layer group (paper, Figure 4)."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ance.evaluation.report.charts import Floats, boundary, chart, line, logarithmic, smoothed, titled, window_of
from ance.evaluation.report.section import Figure, Missing, Section, Spec
from ance.evaluation.report.theme import Theme

GLOBAL = "global"
NORMS, BOUNDS = "gradient_norms", "instance_gradient_norm_bounds"
KINDS = {
    "ance": "ANCE",
    "bm25": "BM25",
    "hardest_in_batch": "hardest in batch",
    "in_batch": "in-batch",
    "random": "random",
}
"""Kinds of negatives, as a rule the hardest first. Others, such as `bm25+random`, have their own name and follow."""
DEPTHS = ("embeddings", "bottom", "middle", "top", "head")
TOWERS = ("", "passage.", "query.")
"""What the groups of a tower begin with; nothing where queries and passages share one."""


def convergence_section(steps: Sequence[Mapping[str, Any]], command: str) -> Section:
    """Loss, and gradient norms before clipping, by step.

    Args:
        steps: the run's series: records with `step`, `stage`, `loss` and, on some steps, `gradient_norms`.
        command: what to run to get a series.
    """
    title = "Loss and gradient norms (Figure 4)"
    if not steps:
        return Section("convergence", title, (Missing("No training step is recorded yet.", command),))
    parts = [Figure("loss", _loss_caption(steps), lambda theme: _loss(theme, steps))]
    known = (*(tower + depth for tower in TOWERS for depth in DEPTHS), GLOBAL)
    groups = [group for group in known if len(measured(steps, NORMS, group)[0])]
    if groups:
        parts.append(Figure("gradient-norms", _norm_caption(steps), lambda theme: _norms(theme, steps, groups)))
    had = dict.fromkeys(kind for step in steps for kind in step.get(BOUNDS, {}))
    kinds = [*(kind for kind in KINDS if kind in had), *(kind for kind in had if kind not in KINDS)]
    if kinds:
        caption = _bound_caption(steps, kinds)
        parts.append(Figure("instance-bounds", caption, lambda theme: _bounds(theme, steps, kinds)))
    note = "Lines are running means over a fiftieth of their points; the norms are before clipping."
    return Section("convergence", title, tuple(parts), note)


def measured(steps: Sequence[Mapping[str, Any]], what: str, name: str) -> tuple[Floats, Floats]:
    """The steps that have recorded a value, and their values: two float64 [n]."""
    having = [step for step in steps if name in step.get(what, {})]
    values = np.array([step[what][name] for step in having], np.float64)
    return np.array([step["step"] for step in having], np.float64), values


def stage_change(theme: Theme, steps: Sequence[Mapping[str, Any]]) -> Spec:
    """Layout settings of the line where the warm-up ends and ANCE begins; none for a run of one stage."""
    first = next((step["step"] for step in steps if step["stage"] == "ance"), None)
    if first is None or first == steps[0]["step"]:
        return {}
    return boundary(theme, first, "ANCE begins")


def column(steps: Sequence[Mapping[str, Any]], name: str) -> Floats:
    """One field of every record, NaN where it is None: float64 [steps]."""
    return np.array([np.nan if step[name] is None else step[name] for step in steps], np.float64)


def _loss(theme: Theme, steps: Sequence[Mapping[str, Any]]) -> Spec:
    loss = column(steps, "loss")
    traces = [line("loss", column(steps, "step"), smoothed(loss, window_of(len(loss))), theme.blue)]
    y = titled("loss (nats)", rangemode="tozero")
    return chart(theme, traces, titled("step"), y, showlegend=False, **stage_change(theme, steps))


def _norms(theme: Theme, steps: Sequence[Mapping[str, Any]], groups: Sequence[str]) -> Spec:
    styles = {
        "embeddings": (theme.green, "dot"),
        "bottom": (theme.orange, "dash"),
        "middle": (theme.purple, "dashdot"),
        "top": (theme.blue, "solid"),
        "head": (theme.gray, "longdash"),
        GLOBAL: (theme.ink, "solid"),
    }
    traces = [
        _measured_line(
            "all layers" if group == GLOBAL else group.replace(".", ": "),
            measured(steps, NORMS, group),
            *styles[group.rpartition(".")[2]],
            width=1 if group.startswith("query.") else 2,
        )
        for group in groups
    ]
    y = logarithmic("gradient norm (log)")
    return chart(theme, traces, titled("step"), y, height=400, **stage_change(theme, steps))


def _bounds(theme: Theme, steps: Sequence[Mapping[str, Any]], kinds: Sequence[str]) -> Spec:
    styles = {
        "ance": (theme.blue, "solid"),
        "bm25": (theme.orange, "dash"),
        "hardest_in_batch": (theme.green, "longdash"),
        "in_batch": (theme.purple, "dashdot"),
        "random": (theme.gray, "dot"),
    }
    other = (theme.muted, "longdashdot")
    traces = [
        _measured_line(KINDS.get(kind, kind), measured(steps, BOUNDS, kind), *styles.get(kind, other)) for kind in kinds
    ]
    y = logarithmic("gradient norm of a pair (log)")
    return chart(theme, traces, titled("step"), y, **stage_change(theme, steps))


def _measured_line(name: str, points: tuple[Floats, Floats], colour: str, dash: str, width: int = 2) -> Spec:
    x, y = points
    return line(name, x, smoothed(y, window_of(len(y))), colour, line={"dash": dash, "width": width})


def _loss_caption(steps: Sequence[Mapping[str, Any]]) -> str:
    means = {
        name: np.mean([step["loss"] for step in steps if step["stage"] == stage][-50:])
        for stage, name in (("warmup", "warm-up"), ("ance", "ANCE"))
        if any(step["stage"] == stage for step in steps)
    }
    ends = " and ".join(f"{value:.3g} at the end of the {name} stage" for name, value in means.items())
    return f"The training loss by step: {ends} (mean of the last 50 steps at most)."


def _norm_caption(steps: Sequence[Mapping[str, Any]]) -> str:
    medians = {
        name: measured([step for step in steps if step["stage"] == stage], NORMS, GLOBAL)[1]
        for stage, name in (("warmup", "warm-up"), ("ance", "ANCE"))
    }
    parts = [f"{np.median(norms):.3g} in the {name} stage" for name, norms in medians.items() if len(norms)]
    return (
        f"The gradient norm of all layers has a median of {' and '.join(parts)}; where negatives teach nothing, it "
        "falls towards 0 in every group of layers."
    )


def _bound_caption(steps: Sequence[Mapping[str, Any]], kinds: Sequence[str]) -> str:
    medians = [f"{KINDS.get(kind, kind)} {np.median(measured(steps, BOUNDS, kind)[1]):.3g}" for kind in kinds]
    return (
        "The bound on the gradient norm of one query with its positive and one negative (paper, eq 11), by kind of "
        f"negative; medians over the steps: {', '.join(medians)}."
    )
