"""Nobody may call the Kubernetes API but for what is enabled, and never beyond the namespace."""

from __future__ import annotations

from typing import Any

import pytest

from tests.helm.chart import EVERYTHING, RUN, Object, environment, main_container, of_kind, pods, render

BUILTIN = {"inferencer": {"autoscaling": {"mode": "builtin"}}}


def rules(objects: list[Object], name: str) -> dict[str, set[str]]:
    """Resource -> verbs of a role."""
    return {
        resource: set(rule["verbs"])
        for rule in of_kind(objects, "Role")[name]["rules"]
        for resource in rule["resources"]
    }


@pytest.mark.parametrize("values", [{}, BUILTIN, EVERYTHING], ids=["default", "builtin", "everything"])
def test_a_token_is_mounted_exactly_where_a_role_is_bound(values: dict[str, Any]) -> None:
    objects = render(RUN, values=values)
    bound = {one["subjects"][0]["name"] for one in of_kind(objects, "RoleBinding").values()}
    assert bound == {
        pod["spec"]["serviceAccountName"]
        for pod in pods(objects).values()
        if pod["spec"]["automountServiceAccountToken"]
    }
    assert bound == {
        pod["spec"]["serviceAccountName"]
        for pod in pods(objects).values()
        if environment(main_container(pod)).get("ANCE_KUBERNETES") == "true"
    }
    for binding in of_kind(objects, "RoleBinding").values():
        assert binding["roleRef"]["name"] in of_kind(objects, "Role")
    assert not [item for item in objects if item["kind"].startswith("Cluster")]


def test_a_role_holds_what_its_service_does_and_no_more() -> None:
    objects = render(RUN, values=BUILTIN)
    leader = {"leases": {"get", "create", "update"}, "events": {"create"}}
    assert rules(objects, "ance-trainer") == {**leader, "jobs": {"get"}}
    assert rules(objects, "ance-indexer") == {**leader, "deployments": {"get"}, "deployments/scale": {"get", "patch"}}
    assert rules(objects, "ance-inferencer") == {"pods": {"patch"}}
    assert rules(objects, "ance-search-api") == {"events": {"create"}, "deployments": {"get"}}


def test_with_leases_in_redis_no_lease_object_may_be_touched() -> None:
    objects = render(RUN, values={"kubernetes": {"leases": False}})
    assert "leases" not in rules(objects, "ance-trainer")
    assert environment(main_container(pods(objects)["trainer"]))["ANCE_LEASE_BACKEND"] == "redis"
    assert environment(main_container(pods(render(RUN))["trainer"]))["ANCE_LEASE_BACKEND"] == "kubernetes"


def test_without_the_kubernetes_api_there_are_no_roles_and_no_tokens() -> None:
    objects = render(RUN, values={"kubernetes": {"enabled": False}})
    assert not of_kind(objects, "Role")
    assert not [pod for pod in pods(objects).values() if pod["spec"]["automountServiceAccountToken"]]


def test_roles_of_the_user_s_own_replace_the_chart_s() -> None:
    account = {"serviceAccount": {"create": False, "name": "mine"}}
    objects = render(RUN, values={"rbac": {"create": False}, "trainer": account})
    assert not {item["kind"] for item in objects} & {"Role", "RoleBinding"}
    assert pods(objects)["trainer"]["spec"]["serviceAccountName"] == "mine"
    assert "ance-trainer" not in of_kind(objects, "ServiceAccount")
    assert pods(objects)["trainer"]["spec"]["automountServiceAccountToken"] is True
