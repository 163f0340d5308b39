"""Panels and alerts are executed against a Prometheus that scrapes real services."""

from __future__ import annotations

import json
import math

import promql_parser
import pytest

from tests.observability.conftest import Observed
from tests.observability.rules import alerts, dashboards, operands, queries, recorded, with_values

pytestmark = pytest.mark.timeout(900)

UNKNOWN = {
    "Speed-up over the reranker": "no reranker is trained in this run",
}
"""Panels whose value is not known (NaN) here, and why."""


def test_every_service_is_scraped_and_names_its_run(observed: Observed) -> None:
    targets = observed.prometheus.targets()
    assert {target["labels"]["job"] for target in targets} == observed.stack.metrics.keys()
    assert {target["health"] for target in targets} == {"up"}
    unnamed = observed.prometheus.query('{__name__=~"ance_.+", run!="demo"}')
    assert unnamed == []


def test_every_query_of_every_panel_returns_data(observed: Observed) -> None:
    variables = {"namespace": ".*", "release": "ance", "run": "demo", "__rate_interval": "5m"}
    without = []
    for name, dashboard in dashboards().items():
        for title, expr in queries(dashboard):
            values = observed.prometheus.values(with_values(expr, **variables))
            known = [value for value in values if math.isfinite(value)]
            if not values or not (known or title in UNKNOWN):
                without.append(f"{name}: {title}: {expr} -> {values}")
    assert without == []


def test_every_alert_and_recording_rule_has_data_to_judge(observed: Observed) -> None:
    expressions = [rule["expr"] for rule in alerts().values()] + list(recorded().values())
    compared = [operand for expr in expressions for operand in operands(promql_parser.parse(expr))]
    assert [expr for expr in compared if not observed.prometheus.query(expr)] == []


def test_prometheus_evaluates_every_rule_without_an_error_and_a_sound_run_fires_none(observed: Observed) -> None:
    rules = observed.prometheus.rules()
    assert {rule["name"] for rule in rules} == alerts().keys() | recorded().keys()
    assert [rule["name"] for rule in rules if rule["health"] != "ok"] == []
    assert [rule["name"] for rule in rules if rule.get("state") == "firing"] == []


def test_the_variables_of_the_dashboards_offer_the_run(observed: Observed) -> None:
    for dashboard in dashboards().values():
        for variable in dashboard["templating"]["list"][1:]:
            metric = variable["definition"].removeprefix("label_values(").split("{")[0]
            offered = {series["metric"].get(variable["name"]) for series in observed.prometheus.query(metric)}
            assert offered == {{"namespace": "default", "release": "ance", "run": "demo"}[variable["name"]]}


def test_services_log_json_with_their_run_and_without_warnings(observed: Observed) -> None:
    steps, tasks, versions = 0, 0, 0
    for path in observed.logs.glob("*.log"):
        if path.stem == "redis":
            continue
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        assert lines, path
        assert {line["run"] for line in lines} == {"demo"}
        assert [line for line in lines if line["level"] in ("warning", "error")] == []
        steps += sum("step" in line for line in lines)
        tasks += sum("task" in line for line in lines)
        versions += sum("version" in line for line in lines)
    assert steps and tasks and versions
