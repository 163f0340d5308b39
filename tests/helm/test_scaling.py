"""Who decides how many inferencers and search replicas there are."""

from __future__ import annotations

from typing import Any

import pytest

from ance.runtime.queue.keys import QueueKeys
from tests.helm.chart import RUN, Object, environment, main_container, of_kind, pods, render

METRICS = [
    {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}}
]
KEDA = {"mode": "keda", "max": 4}


def with_mode(values: dict[str, Any] | None = None, **autoscaling: Any) -> list[Object]:
    return render(RUN, values={"assumeApis": True, "inferencer": {"autoscaling": autoscaling}, **(values or {})})


@pytest.mark.parametrize(
    ("autoscaling", "scalers"),
    [
        ({"mode": "none"}, set()),
        (KEDA, {"ScaledObject", "TriggerAuthentication"}),
        ({"mode": "hpa", "min": 1, "hpa": {"metrics": METRICS}}, {"HorizontalPodAutoscaler"}),
        ({"mode": "builtin"}, set()),
    ],
    ids=lambda value: value["mode"] if isinstance(value, dict) else "",
)
def test_replicas_are_rendered_only_where_nothing_else_owns_them(
    autoscaling: dict[str, Any], scalers: set[str]
) -> None:
    objects = with_mode(**autoscaling)
    deployment = of_kind(objects, "Deployment")["ance-inferencer"]
    assert ("replicas" in deployment["spec"]) is (autoscaling["mode"] == "none")
    all_scalers = {"ScaledObject", "TriggerAuthentication", "HorizontalPodAutoscaler"}
    assert {item["kind"] for item in objects} & all_scalers == scalers


def test_keda_watches_both_streams_of_the_queue_by_their_length() -> None:
    keda = of_kind(with_mode(**KEDA), "ScaledObject")["ance-inferencer"]["spec"]
    assert keda["scaleTargetRef"]["name"] == "ance-inferencer"
    assert (keda["minReplicaCount"], keda["maxReplicaCount"]) == (0, 4)
    streams = [trigger["metadata"]["stream"] for trigger in keda["triggers"]]
    assert tuple(streams) == QueueKeys("passages").streams
    for trigger in keda["triggers"]:
        assert trigger["type"] == "redis-streams"
        assert trigger["metadata"]["streamLength"] == "4"
        # With a group KEDA would count what is pending, which is what busy workers hold, and nothing that waits.
        assert not trigger["metadata"].keys() & {"consumerGroup", "pendingEntriesCount", "lagCount"}
        assert trigger["metadata"]["address"] == "ance-redis.default.svc.cluster.local:6379"


def test_keda_shows_redis_the_same_credentials_as_the_services() -> None:
    tls = {"enabled": True, "existingSecret": "tls", "clientCertificate": True}
    external = {"host": "redis.example", "username": "ance", "existingSecret": "password", "tls": tls}
    objects = with_mode({"redis": {"enabled": False}, "externalRedis": external}, **KEDA)
    trigger = of_kind(objects, "ScaledObject")["ance-inferencer"]["spec"]["triggers"][0]
    assert trigger["metadata"]["address"] == "redis.example:6379"
    assert trigger["metadata"]["enableTLS"] == "true"
    inferencer = environment(main_container(pods(objects)["inferencer"]))
    assert inferencer[trigger["metadata"]["usernameFromEnv"]] == "ance"
    authentication = of_kind(objects, "TriggerAuthentication")[trigger["authenticationRef"]["name"]]
    given = {entry["parameter"]: (entry["name"], entry["key"]) for entry in authentication["spec"]["secretTargetRef"]}
    assert given == {
        "password": ("password", "password"),
        "ca": ("tls", "ca.crt"),
        "cert": ("tls", "tls.crt"),
        "key": ("tls", "tls.key"),
    }


def test_keda_asks_sentinels_where_redis_has_them() -> None:
    sentinel = {"master": "main", "nodes": ["a:26379", "b:26379"]}
    objects = with_mode(
        {"redis": {"enabled": False}, "externalRedis": {"mode": "sentinel", "sentinel": sentinel}}, **KEDA
    )
    trigger = of_kind(objects, "ScaledObject")["ance-inferencer"]["spec"]["triggers"][0]
    assert trigger["type"] == "redis-sentinel-streams"
    assert trigger["metadata"]["addresses"] == "a:26379,b:26379"
    assert trigger["metadata"]["sentinelMaster"] == "main"
    assert "authenticationRef" not in trigger


def test_the_hpa_may_scale_to_zero_where_kubernetes_lets_it() -> None:
    values = {"inferencer": {"autoscaling": {"mode": "hpa", "min": 0, "hpa": {"metrics": METRICS}}}}
    hpa = of_kind(render(RUN, values=values, kube="1.37.0"), "HorizontalPodAutoscaler")["ance-inferencer"]["spec"]
    assert hpa["minReplicas"] == 0
    assert hpa["metrics"] == METRICS
    assert hpa["behavior"]["scaleDown"]["stabilizationWindowSeconds"] == 300


def test_the_built_in_scaler_is_told_what_to_scale_and_may_scale_nothing_else() -> None:
    objects = with_mode(mode="builtin", min=1, max=5, builtin={"targetRefreshSeconds": 600}, stabilisationSeconds=120)
    settings = environment(main_container(pods(objects)["indexer"]))
    assert {name: value for name, value in settings.items() if name.startswith("ANCE_SCALER")} == {
        "ANCE_SCALER_DEPLOYMENT": "ance-inferencer",
        "ANCE_SCALER_MIN": "1",
        "ANCE_SCALER_MAX": "5",
        "ANCE_SCALER_TARGET_REFRESH_SECONDS": "600",
        "ANCE_SCALER_STABILISATION_SECONDS": "120",
    }
    scale = [
        rule for rule in of_kind(objects, "Role")["ance-indexer"]["rules"] if "deployments/scale" in rule["resources"]
    ]
    assert [rule["resourceNames"] for rule in scale] == [["ance-inferencer"]]
    other = environment(main_container(pods(with_mode(**KEDA))["indexer"]))
    assert not [name for name in other if name.startswith("ANCE_SCALER")]


def test_busy_inferencers_may_raise_their_deletion_cost_only_where_something_removes_them() -> None:
    for mode, told in (("none", False), ("builtin", True)):
        objects = with_mode(mode=mode)
        assert ("ance-inferencer" in of_kind(objects, "Role")) is told
        pod = pods(objects)["inferencer"]
        assert ("ANCE_KUBERNETES" in environment(main_container(pod))) is told
        assert pod["spec"]["automountServiceAccountToken"] is told
    off = with_mode(mode="builtin", podDeletionCost=False)
    assert "ance-inferencer" not in of_kind(off, "Role")


def test_search_replicas_are_fixed_or_the_autoscaler_s() -> None:
    fixed = of_kind(render(RUN, values={"searchApi": {"replicas": 3}}), "Deployment")["ance-search-api"]
    assert fixed["spec"]["replicas"] == 3
    objects = render(RUN, values={"searchApi": {"autoscaling": {"enabled": True, "min": 3}}})
    assert "replicas" not in of_kind(objects, "Deployment")["ance-search-api"]["spec"]
    hpa = of_kind(objects, "HorizontalPodAutoscaler")["ance-search-api"]["spec"]
    assert (hpa["minReplicas"], hpa["scaleTargetRef"]["name"]) == (3, "ance-search-api")
