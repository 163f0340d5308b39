"""What a dashboard consists of, and how Grafana spells it."""

from __future__ import annotations

import string
from dataclasses import dataclass
from typing import Any, Literal

GRID = 24
"""Columns of Grafana's grid."""
SELECTOR = 'namespace=~"$namespace", release=~"$release", run=~"$run"'
"""Stands for SEL in queries: every dashboard filters by the same variables."""
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
VARIABLES = ("namespace", "release", "run")


@dataclass(frozen=True, slots=True)
class Query:
    """A PromQL query; SEL in it becomes the selector of the dashboard's variables."""

    expr: str
    legend: str = ""
    """Grafana's legend format, e.g. `{{phase}}`."""

    @property
    def resolved(self) -> str:
        """The query with its selector."""
        return self.expr.replace("SEL", SELECTOR)


@dataclass(frozen=True, slots=True)
class Panel:
    """One picture."""

    title: str
    description: str
    """What it shows, and what to look for."""
    unit: str
    """A unit of Grafana: short, s, percentunit, reqps, none ..."""
    queries: tuple[Query, ...]
    kind: Literal["timeseries", "stat", "heatmap"] = "timeseries"
    width: int = 12
    height: int = 8
    log: bool = False
    """A logarithmic axis."""
    steps: tuple[tuple[float, str], ...] = ()
    """Thresholds and their colours, above a green base."""


@dataclass(frozen=True, slots=True)
class Row:
    """Panels under one heading, laid out left to right and wrapped."""

    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True, slots=True)
class Dashboard:
    """A page."""

    uid: str
    """Stable, because links and bookmarks name it."""
    title: str
    description: str
    variable_metric: str
    """The metric whose labels offer the values of the variables."""
    rows: tuple[Row, ...]

    def to_json(self) -> dict[str, Any]:
        """As Grafana imports it (schema 39, Grafana 10 and newer)."""
        return {
            "uid": self.uid,
            "title": self.title,
            "description": self.description,
            "tags": ["ance"],
            "schemaVersion": 39,
            "version": 1,
            "editable": True,
            "graphTooltip": 1,
            "refresh": "30s",
            "time": {"from": "now-6h", "to": "now"},
            "timezone": "",
            "annotations": {"list": []},
            "links": [{"type": "dashboards", "title": "ANCE", "tags": ["ance"], "asDropdown": True, "keepTime": True}],
            "templating": {"list": [_datasource(), *(_variable(name, self.variable_metric) for name in VARIABLES)]},
            "panels": _layout(self.rows),
        }


def _datasource() -> dict[str, Any]:
    return {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus", "refresh": 1}


def _variable(name: str, metric: str) -> dict[str, Any]:
    narrower = ", ".join(f'{other}=~"${other}"' for other in VARIABLES[: VARIABLES.index(name)])
    query = f"label_values({metric}{{{narrower}}}, {name})"
    return {
        "name": name,
        "label": name.capitalize(),
        "type": "query",
        "datasource": DATASOURCE,
        "query": {"query": query, "refId": name},
        "definition": query,
        "refresh": 2,
        "sort": 1,
        "multi": False,
        "includeAll": True,
        # Also matches series without the label, as a Prometheus outside of Kubernetes has them.
        "allValue": ".*",
        "current": {"text": "All", "value": "$__all"},
    }


def _layout(rows: tuple[Row, ...]) -> list[dict[str, Any]]:
    panels: list[dict[str, Any]] = []
    top = 0
    for row in rows:
        panels.append({"type": "row", "title": row.title, "collapsed": False, "panels": [], **_place(0, top, GRID, 1)})
        top, left, lowest = top + 1, 0, top + 1
        for panel in row.panels:
            if left + panel.width > GRID:
                top, left = lowest, 0
            panels.append(_panel(panel) | _place(left, top, panel.width, panel.height))
            left, lowest = left + panel.width, max(lowest, top + panel.height)
        top = lowest
    return [{"id": number} | panel for number, panel in enumerate(panels, start=1)]


def _place(x: int, y: int, w: int, h: int) -> dict[str, Any]:
    return {"gridPos": {"x": x, "y": y, "w": w, "h": h}}


def _panel(panel: Panel) -> dict[str, Any]:
    steps = [{"color": "green", "value": None}, *({"color": color, "value": value} for value, color in panel.steps)]
    defaults: dict[str, Any] = {"unit": panel.unit, "thresholds": {"mode": "absolute", "steps": steps}}
    if panel.kind == "timeseries":
        defaults["custom"] = {
            "lineWidth": 2,
            "fillOpacity": 8,
            "showPoints": "never",
            "spanNulls": False,
            "scaleDistribution": {"type": "log", "log": 10} if panel.log else {"type": "linear"},
        }
    return {
        "type": panel.kind,
        "title": panel.title,
        "description": panel.description,
        "datasource": DATASOURCE,
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": _OPTIONS[panel.kind] | ({"yAxis": {"unit": panel.unit}} if panel.kind == "heatmap" else {}),
        "targets": [
            {
                "refId": letter,
                "datasource": DATASOURCE,
                "expr": query.resolved,
                "legendFormat": query.legend or "__auto",
                "range": True,
                **({"format": "heatmap"} if panel.kind == "heatmap" else {}),
            }
            for letter, query in zip(string.ascii_uppercase, panel.queries, strict=False)
        ],
    }


_OPTIONS: dict[str, dict[str, Any]] = {
    "timeseries": {
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
        "tooltip": {"mode": "multi", "sort": "desc"},
    },
    "stat": {
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "colorMode": "value",
        "graphMode": "area",
        "textMode": "auto",
    },
    "heatmap": {"calculate": False, "color": {"scheme": "Viridis", "mode": "scheme"}, "cellGap": 1},
}


def quantiles(metric: str, by: str = "") -> tuple[Query, ...]:
    """The median and the 99th percentile of a histogram, by a label where one is named."""
    groups = f"le, {by}" if by else "le"
    label = f"{{{{{by}}}}} " if by else ""
    return tuple(
        Query(
            f"histogram_quantile({quantile}, sum by ({groups}) (rate({metric}_bucket{{SEL}}[$__rate_interval])))",
            f"{label}{name}",
        )
        for quantile, name in ((0.5, "p50"), (0.99, "p99"))
    )
