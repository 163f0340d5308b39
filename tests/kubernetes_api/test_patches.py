"""Strategic merge patches as `kubectl` and helm 3 compute them."""

from __future__ import annotations

from typing import Any

from tests.kubernetes_api.kinds import BUILT_IN, Object
from tests.kubernetes_api.patches import json_merge, strategic_merge
from tests.kubernetes_api.structure import structure_of

STRUCTURE = structure_of(next(kind for kind in BUILT_IN if kind.name == "Pod"))
ONE, TWO = {"name": "one", "image": "1"}, {"name": "two", "image": "2"}


def patched(spec: Object, patch: Object) -> Any:
    return strategic_merge({"spec": spec}, {"spec": patch}, STRUCTURE)["spec"]


def test_lists_with_a_merge_key_are_merged_entry_by_entry() -> None:
    patch = {"containers": [{"name": "two", "image": "3"}, {"name": "new"}, {"$patch": "delete", "name": "one"}]}
    assert patched({"containers": [ONE, TWO]}, patch) == {
        "containers": [{"name": "two", "image": "3"}, {"name": "new"}]
    }


def test_the_order_that_the_client_wants_is_kept() -> None:
    order = {"$setElementOrder/containers": [{"name": "two"}, {"name": "one"}]}
    assert patched({"containers": [ONE, TWO]}, order) == {"containers": [TWO, ONE]}


def test_lists_without_one_are_replaced() -> None:
    assert patched({"tolerations": [{"key": "a"}]}, {"tolerations": [{"key": "b"}]}) == {"tolerations": [{"key": "b"}]}


def test_only_the_keys_to_retain_stay_of_a_union() -> None:
    volume = {"name": "data", "emptyDir": {}}
    claim = {"name": "data", "persistentVolumeClaim": {"claimName": "x"}}
    patch = {"volumes": [{"$retainKeys": ["name", "persistentVolumeClaim"], **claim}]}
    assert patched({"volumes": [volume]}, patch) == {"volumes": [claim]}


def test_a_null_removes_and_a_directive_replaces() -> None:
    assert patched({"priority": 1, "nodeSelector": {"a": "b"}}, {"priority": None}) == {"nodeSelector": {"a": "b"}}
    patch = {"nodeSelector": {"$patch": "replace", "c": "d"}}
    assert patched({"nodeSelector": {"a": "b"}}, patch) == {"nodeSelector": {"c": "d"}}


def test_a_json_merge_patch_replaces_every_list() -> None:
    assert json_merge({"a": [1], "b": {"c": 1, "d": 2}}, {"a": [2], "b": {"c": None}}) == {"a": [2], "b": {"d": 2}}
