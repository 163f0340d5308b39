"""What makes a dashboard load, fit the screen and ask for what exists."""

from __future__ import annotations

import itertools
import json
from typing import Any

import promql_parser
import pytest

from ance.runtime.metrics import IndexerMetrics, InferencerMetrics, SearchMetrics, TrainerMetrics
from ance.runtime.metrics.catalogue import catalogue
from tests.observability.rules import (
    DASHBOARDS,
    ROOT,
    RULES,
    alerts,
    all_rules,
    dashboards,
    panels,
    queries,
    recorded,
    selectors,
    with_values,
)
from tools.dashboards.__main__ import main

MEGABYTE = 1 << 20
FROM_SCRAPE = {"namespace", "release", "run", "job", "instance", "le"}
"""Labels that no line of code sets: the scrape does, `labelled` or the client library."""
ALL = [TrainerMetrics, InferencerMetrics, IndexerMetrics, SearchMetrics]
EVERY = list(dashboards().items())
by_name = pytest.mark.parametrize(("name", "dashboard"), EVERY, ids=[name for name, _ in EVERY])


def exported() -> dict[str, set[str]]:
    """Name of every series that a service can show -> its labels."""
    return {name: set(entry.labels) for service in ALL for entry in catalogue(service()) for name in entry.series}


def resolved(expr: str) -> str:
    return with_values(expr, namespace="default", release="ance", run="demo", __rate_interval="5m")


def test_the_four_dashboards_are_those_of_their_generator() -> None:
    assert {path.stem for path in DASHBOARDS} == {"overview", "convergence", "refresh", "search"}
    assert main(["--check"]) == 0


def test_a_changed_dashboard_is_drift_that_names_the_remedy(tmp_path: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--output", str(tmp_path)]) == 0
    path = tmp_path / "overview.json"
    path.write_text(path.read_text().replace("Overview", "Overlook"))
    assert main(["--output", str(tmp_path), "--check"]) == 1
    assert "overview.json: differs" in (message := capsys.readouterr().err)
    assert "python -m tools.dashboards" in message


def test_identifiers_of_dashboards_are_stable_and_unique() -> None:
    assert {name: dashboard["uid"] for name, dashboard in EVERY} == {
        "overview": "ance-overview",
        "convergence": "ance-convergence",
        "refresh": "ance-refresh",
        "search": "ance-search",
    }


@by_name
def test_a_dashboard_fits_a_config_map(name: str, dashboard: dict[str, Any]) -> None:
    assert len(json.dumps(dashboard)) < MEGABYTE


@by_name
def test_panels_have_ids_of_their_own_and_a_place_of_their_own(name: str, dashboard: dict[str, Any]) -> None:
    everything = dashboard["panels"]
    assert len({panel["id"] for panel in everything}) == len(everything)
    for panel in everything:
        place = panel["gridPos"]
        assert place["x"] >= 0 and place["x"] + place["w"] <= 24
    for one, other in itertools.combinations(everything, 2):
        a, b = one["gridPos"], other["gridPos"]
        apart_x = a["x"] + a["w"] <= b["x"] or b["x"] + b["w"] <= a["x"]
        apart_y = a["y"] + a["h"] <= b["y"] or b["y"] + b["h"] <= a["y"]
        assert apart_x or apart_y, (one["title"], other["title"])


@by_name
def test_every_panel_says_what_it_shows_in_which_unit_from_the_chosen_source(
    name: str, dashboard: dict[str, Any]
) -> None:
    titles = [panel["title"] for panel in panels(dashboard)]
    assert len(set(titles)) == len(titles)
    for panel in panels(dashboard):
        assert panel["description"].endswith("."), panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        for part in (panel, *panel["targets"]):
            assert part["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"]) > 0
        assert all(target["legendFormat"] for target in panel["targets"])


@by_name
def test_every_query_follows_the_variables_and_the_rate_interval(name: str, dashboard: dict[str, Any]) -> None:
    variables = [variable["name"] for variable in dashboard["templating"]["list"]]
    assert variables == ["datasource", "namespace", "release", "run"]
    for title, expr in queries(dashboard):
        found = selectors(resolved(expr))
        assert found, title
        for selector in found:
            matched = {matcher.name for matcher in selector.matchers.matchers}
            assert {"namespace", "release", "run"} <= matched, (title, expr)
        for function in ("rate(", "increase("):
            assert expr.count(function) == 0 or "[$__rate_interval]" in expr, (title, expr)


def test_every_metric_and_label_that_is_asked_for_exists() -> None:
    known = exported() | {name: set[str]() for name in recorded()}
    asked = [expr for dashboard in dashboards().values() for _, expr in queries(dashboard)]
    asked += [rule["expr"] for rule in all_rules()]
    for expr in map(resolved, asked):
        allowed = set(FROM_SCRAPE)
        for selector in selectors(expr):
            assert selector.name in known, f"{selector.name} in {expr}"
            allowed |= known[selector.name]
            for matcher in selector.matchers.matchers:
                assert matcher.name in known[selector.name] | FROM_SCRAPE, f"{matcher.name} in {expr}"
        assert grouped(promql_parser.parse(expr)) <= allowed, expr


def grouped(node: Any) -> set[str]:
    """Labels that the aggregations of a query keep."""
    match node:
        case promql_parser.AggregateExpr():
            own = set(node.modifier.labels) if node.modifier else set()
            return own | grouped(node.expr)
        case promql_parser.BinaryExpr():
            return grouped(node.lhs) | grouped(node.rhs)
        case promql_parser.Call():
            return set().union(*(grouped(argument) for argument in node.args))
        case promql_parser.ParenExpr() | promql_parser.UnaryExpr() | promql_parser.SubqueryExpr():
            return grouped(node.expr)
    return set()


@pytest.mark.parametrize("alert", alerts())
def test_every_alert_has_a_severity_a_summary_and_a_runbook(alert: str) -> None:
    rule = alerts()[alert]
    assert rule["labels"]["severity"] in {"critical", "warning"}
    assert "{{ $labels.run }}" in rule["annotations"]["summary"]
    assert rule["annotations"]["description"].endswith(".")
    runbook = ROOT / rule["annotations"]["runbook_url"]
    assert runbook.stem == alert
    headings = [line for line in runbook.read_text().splitlines() if line.startswith("#")]
    assert headings == [f"# {alert}", "## What it means", "## How to see it", "## What to do"]


def test_every_runbook_belongs_to_an_alert_and_links_to_files_that_exist() -> None:
    runbooks = sorted((ROOT / "docs/runbooks").glob("*.md"))
    assert {path.stem for path in runbooks} == alerts().keys()
    for path in runbooks:
        for target in [part.split(")")[0] for part in path.read_text().split("](")[1:]]:
            assert (path.parent / target).is_file(), f"{path.name}: {target}"


def test_panels_named_in_runbooks_exist() -> None:
    titles = {panel["title"] for dashboard in dashboards().values() for panel in panels(dashboard)}
    titles |= {dashboard["title"] for dashboard in dashboards().values()}
    for path in (ROOT / "docs/runbooks").glob("*.md"):
        emphasised = [" ".join(part.split()) for part in path.read_text().split("*")[1::2]]
        named = {name for name in emphasised if name[:1].isupper() or "/" in name}
        assert named <= titles, f"{path.name}: {named - titles}"


def test_the_rules_of_the_chart_are_few_files() -> None:
    assert [path.name for path in RULES] == ["alerts.yaml", "recording.yaml"]
