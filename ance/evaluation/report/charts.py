"""What every chart has in common: axes, legend, lines, and as many points as a screen can show."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ance.evaluation.report.section import Spec
from ance.evaluation.report.theme import Theme

MAX_POINTS = 600
"""Points of a line: more than the pixels a phone has across, and a run of a million steps stays small."""

LEGEND = {"orientation": "h", "x": 0, "xanchor": "left", "y": 1.02, "yanchor": "bottom"}
"""Above the panel, as many lines as the page's width needs."""

Floats = NDArray[np.float64]


def chart(theme: Theme, traces: Sequence[Spec], x: Spec, y: Spec, *, height: int = 360, **layout: Any) -> Spec:
    """A chart of one panel.

    Args:
        theme: colours of text and grid; traces bring their own.
        traces: plotly traces.
        x: plotly settings of the x axis, at least its title with the unit.
        y: the same of the y axis.
        height: pixels; the width is the page's.
        layout: more plotly settings of the layout.
    """
    return {
        "data": list(traces),
        "layout": {
            "height": height,
            "margin": {"l": 8, "r": 8, "t": 8, "b": 8, "autoexpand": True},
            "paper_bgcolor": theme.surface,
            "plot_bgcolor": theme.surface,
            "font": {"family": "system-ui, sans-serif", "size": 13, "color": theme.ink},
            "hoverlabel": {"font": {"family": "system-ui, sans-serif"}},
            "legend": LEGEND,
            "xaxis": _axis(theme, x),
            "yaxis": _axis(theme, y),
            **layout,
        },
    }


def titled(title: str, **settings: Any) -> Spec:
    """Settings of an axis."""
    return {"title": {"text": title}, **settings}


def logarithmic(title: str) -> Spec:
    """Settings of an axis of norms. Plotly labels 0.2 as 2 between 0.1 and 1: here every label is the number."""
    values = [float(f"{digit}e{decade}") for decade in range(-9, 10) for digit in (1, 2, 5)]
    return titled(title, type="log", tickvals=values, ticktext=[f"{value:g}" for value in values])


def line(name: str, x: Floats, y: Floats, colour: str, **settings: Any) -> Spec:
    """A trace of at most `MAX_POINTS` points, whatever the length of x and y (float64 [n])."""
    kept = thinned(len(x))
    style = {"color": colour, "width": 2, **settings.pop("line", {})}
    return {
        "type": "scatter",
        "mode": "lines",
        "name": name,
        "x": numbers(x[kept]),
        "y": numbers(y[kept]),
        "line": style,
        **settings,
    }


def boundary(theme: Theme, x: float, label: str) -> Spec:
    """Layout settings of a vertical line with a word at its top, where one stage of training ends."""
    place = {"xref": "x", "yref": "paper"}
    return {
        "shapes": [
            {"type": "line", "x0": x, "x1": x, "y0": 0, "y1": 1, **place, "line": {"color": theme.muted, "dash": "dot"}}
        ],
        "annotations": [
            {
                "text": label,
                "x": x,
                "y": 1,
                **place,
                "xanchor": "left",
                "yanchor": "top",
                "showarrow": False,
                "font": {"color": theme.muted, "size": 12},
            }
        ],
    }


def smoothed(values: Floats, window: int) -> Floats:
    """Running mean over at most `window` values around each, fewer at the ends: float64 [n]. NaN is left out."""
    known = np.isfinite(values)
    ends = np.arange(len(values))
    start, stop = np.maximum(ends - window // 2, 0), np.minimum(ends + (window + 1) // 2, len(values))
    total = np.concatenate([[0.0], np.cumsum(np.where(known, values, 0.0))])
    count = np.concatenate([[0], np.cumsum(known)])
    with np.errstate(invalid="ignore"):
        return np.asarray((total[stop] - total[start]) / (count[stop] - count[start]))


def window_of(length: int) -> int:
    """Steps to smooth over: a fiftieth of a series, at least one."""
    return max(1, length // 50)


def thinned(length: int) -> NDArray[np.int64]:
    """Evenly spaced positions among `length`, at most `MAX_POINTS`, with the first and the last: int64 [n]."""
    return np.unique(np.linspace(0, length - 1, min(length, MAX_POINTS)).round().astype(np.int64))


def numbers(values: NDArray[Any]) -> list[float | None]:
    """For JSON, with five significant digits; what is not finite becomes a gap."""
    return [float(f"{value:.5g}") if np.isfinite(value) else None for value in values.tolist()]


def _axis(theme: Theme, settings: Spec) -> Spec:
    return {
        "automargin": True,
        "gridcolor": theme.grid,
        "linecolor": theme.muted,
        "zerolinecolor": theme.grid,
        "fixedrange": True,  # a finger that scrolls the page must not zoom the chart
        **settings,
    }
