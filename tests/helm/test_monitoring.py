"""Monitors, rules and dashboards find what they are about."""

from __future__ import annotations

import json

import pytest
import yaml

from tests.helm.chart import CHART, EVERYTHING, RUN, Object, main_container, of_kind, pods, render

DASHBOARDS = sorted((CHART / "dashboards").glob("*.json"))
RULES = sorted((CHART / "rules").glob("*.yaml"))


@pytest.fixture(scope="module")
def objects() -> list[Object]:
    labels = {"additionalLabels": {"release": "prometheus"}}
    monitoring = {
        **EVERYTHING["monitoring"],
        **{name: {"enabled": True, **labels} for name in ("serviceMonitor", "podMonitor")},
    }
    return render(RUN, values={**EVERYTHING, "monitoring": monitoring})


def test_nothing_is_monitored_unless_it_is_asked_for() -> None:
    assert not {item["apiVersion"] for item in render(RUN)} & {"monitoring.coreos.com/v1"}


def test_the_service_monitor_selects_the_search_service_and_its_port(objects: list[Object]) -> None:
    (monitor,) = of_kind(objects, "ServiceMonitor").values()
    (service,) = [
        item
        for item in of_kind(objects, "Service").values()
        if monitor["spec"]["selector"]["matchLabels"].items() <= item["metadata"]["labels"].items()
    ]
    assert monitor["spec"]["endpoints"][0]["port"] in {port["name"] for port in service["spec"]["ports"]}
    assert monitor["metadata"]["labels"]["release"] == "prometheus"


def test_the_pod_monitor_selects_the_workers_and_nothing_else(objects: list[Object]) -> None:
    (monitor,) = of_kind(objects, "PodMonitor").values()
    selector = monitor["spec"]["selector"]
    (expression,) = selector["matchExpressions"]
    chosen = {
        component: pod
        for component, pod in pods(objects).items()
        if selector["matchLabels"].items() <= pod["metadata"]["labels"].items()
        and pod["metadata"]["labels"][expression["key"]] in expression["values"]
    }
    assert chosen.keys() == {"trainer", "inferencer", "indexer"}
    for pod in chosen.values():
        assert "metrics" in {port["name"] for port in main_container(pod)["ports"]}


@pytest.mark.parametrize("kind", ["ServiceMonitor", "PodMonitor"])
def test_targets_get_the_labels_that_alerts_and_dashboards_select_by(kind: str, objects: list[Object]) -> None:
    (monitor,) = of_kind(objects, kind).values()
    (endpoint,) = monitor["spec"].get("endpoints") or monitor["spec"]["podMetricsEndpoints"]
    assert {one["targetLabel"]: one["replacement"] for one in endpoint["relabelings"] if "replacement" in one} == {
        "release": "ance",
    }


@pytest.mark.skipif(not RULES, reason="the chart has no rules")
def test_every_alert_is_in_the_prometheus_rule_unless_it_is_disabled(objects: list[Object]) -> None:
    groups = [group for path in RULES for group in yaml.safe_load(path.read_text())["groups"]]
    (rule,) = of_kind(objects, "PrometheusRule").values()
    assert sorted(rule["spec"]["groups"], key=str) == sorted(groups, key=str)

    first = next(one["alert"] for group in groups for one in group["rules"] if "alert" in one)
    chosen = {"enabled": True, "disabled": [first], "runbookBaseUrl": "https://git.example/"}
    fewer = {"assumeApis": True, "monitoring": {"prometheusRule": chosen}}
    (rule,) = of_kind(render(RUN, values=fewer), "PrometheusRule").values()
    left = [one.get("alert") for group in rule["spec"]["groups"] for one in group["rules"]]
    urls = [
        one["annotations"]["runbook_url"]
        for group in rule["spec"]["groups"]
        for one in group["rules"]
        if "alert" in one
    ]
    assert all(url.startswith("https://git.example/docs/runbooks/") for url in urls)
    assert first not in left
    assert len(left) == sum(len(group["rules"]) for group in groups) - 1


@pytest.mark.skipif(not DASHBOARDS, reason="the chart has no dashboards")
def test_every_dashboard_arrives_as_it_was_written(objects: list[Object]) -> None:
    maps = [
        item for item in of_kind(objects, "ConfigMap").values() if "grafana_dashboard" in item["metadata"]["labels"]
    ]
    arrived = {name: json.loads(text) for item in maps for name, text in item["data"].items()}
    assert arrived == {path.name: json.loads(path.read_text()) for path in DASHBOARDS}
    assert all(item["metadata"]["annotations"] == {"grafana_folder": "ANCE"} for item in maps)
