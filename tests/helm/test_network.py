"""Network policies let through what the services need, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from tests.helm.chart import COMPONENTS, RUN, SERVICES, Object, main_container, of_kind, pods, render


def policies(**values: Any) -> dict[str, Object]:
    enabled = {"enabled": True, **values.pop("networkPolicy", {})}
    return of_kind(render(RUN, values={"networkPolicy": enabled, **values}), "NetworkPolicy")


def allowed(rules: list[Object], component: str) -> set[Any]:
    """Ports of the rules whose peers are the pods of a component."""
    ports = set()
    for rule in rules:
        for peer in (*rule.get("from", ()), *rule.get("to", ())):
            if peer.get("podSelector", {}).get("matchLabels", {}).get("app.kubernetes.io/component") == component:
                ports |= {port["port"] for port in rule["ports"]}
    return ports


def test_there_are_none_unless_they_are_asked_for() -> None:
    assert not of_kind(render(RUN), "NetworkPolicy")


def test_every_pod_has_one_that_denies_what_it_does_not_name() -> None:
    found = policies()
    assert found.keys() == {f"ance-{component}" for component in (*COMPONENTS.values(), "test")}
    for policy in found.values():
        assert policy["spec"]["policyTypes"] == ["Ingress", "Egress"]


def test_both_ends_of_a_connection_allow_it() -> None:
    found = policies()
    for client, server, port in (
        *((worker, "redis", "redis") for worker in ("trainer", "inferencer", "indexer", "search-api")),
        *((worker, "trainer", "feed") for worker in ("inferencer", "indexer")),
    ):
        assert allowed(found[f"ance-{client}"]["spec"]["egress"], server) >= {port}
        assert allowed(found[f"ance-{server}"]["spec"]["ingress"], client) == {port}
    apart = policies(searchApi={"discovery": "store"})
    assert allowed(apart["ance-search-api"]["spec"]["egress"], "redis") == set()
    assert allowed(apart["ance-redis"]["spec"]["ingress"], "search-api") == set()
    assert allowed(found["ance-test"]["spec"]["egress"], "search-api") == {"http"}
    assert "egress" not in found["ance-redis"]["spec"]


def test_ports_are_named_as_in_the_pods() -> None:
    objects = render(RUN, values={"networkPolicy": {"enabled": True}})
    found = pods(objects)
    for component in ("trainer", "redis", "search-api"):
        names = {port["name"] for port in main_container(found[component])["ports"]}
        rules = of_kind(objects, "NetworkPolicy")[f"ance-{component}"]["spec"]["ingress"]
        assert {port["port"] for rule in rules for port in rule["ports"]} <= names


def test_everybody_may_resolve_names_and_reach_the_store() -> None:
    for name, policy in policies().items():
        if name == "ance-redis":
            continue
        ports = {port["port"] for rule in policy["spec"]["egress"] for port in rule["ports"]}
        assert 53 in ports
        assert (443 in ports) is (name != "ance-test")


def test_only_callers_of_the_kubernetes_api_may_reach_it() -> None:
    def reaches(policy: Object) -> bool:
        return 6443 in {port["port"] for rule in policy["spec"].get("egress", ()) for port in rule["ports"]}

    callers = {"ance-trainer", "ance-indexer", "ance-inferencer", "ance-search-api"}
    assert {name for name, policy in policies().items() if reaches(policy)} == callers
    assert not [name for name, policy in policies(kubernetes={"enabled": False}).items() if reaches(policy)]


def test_traces_may_leave_where_they_are_sent() -> None:
    def reaches(policy: Object) -> bool:
        return 4318 in {port["port"] for rule in policy["spec"].get("egress", ()) for port in rule["ports"]}

    assert not [name for name, policy in policies().items() if reaches(policy)]
    traced = policies(otel={"endpoint": "http://collector:4318"})
    assert all(reaches(traced[f"ance-{component}"]) for component in SERVICES.values())


def test_searchers_can_be_limited_and_the_test_is_one_of_them() -> None:
    peer = {"namespaceSelector": {"matchLabels": {"team": "web"}}}

    def search(found: dict[str, Object]) -> Object:
        (rule,) = [one for one in found["ance-search-api"]["spec"]["ingress"] if one["ports"] == [{"port": "http"}]]
        return rule

    assert "from" not in search(policies())
    limited = search(policies(networkPolicy={"searchFrom": [peer]}))
    assert limited["from"][0] == peer
    assert allowed([limited], "test") == {"http"}


def test_keda_may_ask_redis_where_it_scales() -> None:
    found = policies(assumeApis=True, inferencer={"autoscaling": {"mode": "keda"}})
    peers = [peer for rule in found["ance-redis"]["spec"]["ingress"] for peer in rule["from"]]
    assert {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "keda"}}} in peers


@pytest.mark.parametrize("component", ["trainer", "inferencer", "indexer"])
def test_an_external_redis_is_reached_by_its_addresses(component: str) -> None:
    external = {"redis": {"enabled": False}, "externalRedis": {"host": "redis"}}
    policy = {"externalRedis": {"cidrs": ["10.0.0.0/8"], "ports": [6380]}, "extraEgress": [{"ports": [{"port": 9999}]}]}
    egress = policies(networkPolicy=policy, **external)[f"ance-{component}"]["spec"]["egress"]
    assert {"to": [{"ipBlock": {"cidr": "10.0.0.0/8"}}], "ports": [{"port": 6380}]} in egress
    assert {"ports": [{"port": 9999}]} in egress
