"""Who owns which field, as the documentation of server-side apply has it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.kubernetes_api.apply import Manager, Owners, apply, update
from tests.kubernetes_api.kinds import BUILT_IN, Object, Refusal
from tests.kubernetes_api.structure import structure_of

DEPLOYMENT = structure_of(next(kind for kind in BUILT_IN if kind.name == "Deployment"))
HELM, OPERATOR, SCALER = Manager("helm", True), Manager("operator", True), Manager("scaler", False)


class Live:
    """One Deployment and its owners."""

    def __init__(self) -> None:
        self.item: Object = {}
        self.owners: Owners = {}

    def apply(self, manager: Manager, spec: Object, *, force: bool = False) -> Any:
        self.item, self.owners = apply(self.item, {"spec": spec}, DEPLOYMENT, self.owners, manager, force=force)
        return self.item["spec"]

    def update(self, manager: Manager, spec: Object) -> None:
        new = {"spec": spec}
        self.owners = update(self.item, new, DEPLOYMENT, self.owners, manager)
        self.item = new


def pod(*containers: Object) -> Object:
    return {"template": {"spec": {"containers": list(containers)}}}


def test_what_a_manager_no_longer_wants_goes_and_what_others_set_stays() -> None:
    live = Live()
    live.apply(HELM, {"paused": True, "minReadySeconds": 5})
    live.update(SCALER, {"paused": True, "minReadySeconds": 5, "replicas": 3})
    assert live.apply(HELM, {"minReadySeconds": 5}) == {"minReadySeconds": 5, "replicas": 3}


def test_a_field_that_another_has_set_to_something_else_is_a_conflict_unless_forced() -> None:
    live = Live()
    live.apply(HELM, {"replicas": 1})
    live.update(SCALER, {"replicas": 3})
    with pytest.raises(Refusal, match=r'conflict with "scaler": \.spec\.replicas') as refused:
        live.apply(HELM, {"replicas": 2})
    assert refused.value.status == 409
    assert live.apply(HELM, {"replicas": 2}, force=True) == {"replicas": 2}
    assert SCALER not in {owner for owner, paths in live.owners.items() if paths}


def test_a_value_that_two_agree_on_has_two_owners_and_goes_with_the_last() -> None:
    live = Live()
    live.apply(HELM, {"paused": True, "minReadySeconds": 1})
    live.apply(OPERATOR, {"paused": True})
    assert live.apply(HELM, {"minReadySeconds": 1}) == {"paused": True, "minReadySeconds": 1}
    assert live.apply(OPERATOR, {}) == {"minReadySeconds": 1}


def test_entries_of_a_list_are_told_apart_by_their_keys() -> None:
    live = Live()
    main = {"name": "main", "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]}
    live.apply(HELM, pod(main, {"name": "old"}))
    live.apply(OPERATOR, pod({"name": "sidecar"}, {"name": "main", "env": [{"name": "C", "value": "3"}]}))
    spec = live.apply(HELM, pod({"name": "main", "env": [{"name": "B", "value": "4"}]}))
    containers = {one["name"]: one for one in spec["template"]["spec"]["containers"]}
    assert containers.keys() == {"main", "sidecar"}
    assert {one["name"]: one["value"] for one in containers["main"]["env"]} == {"B": "4", "C": "3"}


def test_ports_of_one_number_and_two_protocols_are_two() -> None:
    live = Live()
    ports = [{"containerPort": 1}, {"containerPort": 1, "protocol": "UDP"}]
    spec = live.apply(HELM, pod({"name": "main", "ports": ports}))
    spec = live.apply(HELM, pod({"name": "main", "ports": ports[:1]}))
    assert spec["template"]["spec"]["containers"][0]["ports"] == ports[:1]


def test_an_atomic_map_is_replaced_as_a_whole() -> None:
    live = Live()
    live.apply(HELM, {"selector": {"matchLabels": {"a": "1"}}})
    assert live.apply(HELM, {"selector": {"matchLabels": {"b": "2"}}}) == {"selector": {"matchLabels": {"b": "2"}}}
