import pytest

from tests.pods.manifests import ManifestError, Objects, hooks, parse, selects, template_hash


def test_lists_are_unpacked_and_empty_documents_dropped() -> None:
    text = """
kind: List
items:
  - {kind: Secret, metadata: {name: a}}
---
---
{kind: Service, metadata: {name: b}}
"""
    assert [item["metadata"]["name"] for item in parse(text)] == ["a", "b"]


def test_a_missing_object_is_reported_with_those_there_are() -> None:
    objects = Objects(parse("{kind: Secret, metadata: {name: a}}"))
    assert objects.get("Secret", "a")
    with pytest.raises(ManifestError, match=r"Secret b does not exist \(there are: a\)"):
        objects.get("Secret", "b")


def test_hooks_are_told_from_objects_of_the_release() -> None:
    (hook,) = parse("{kind: Job, metadata: {name: a, annotations: {helm.sh/hook: 'pre-install, pre-upgrade'}}}")
    assert hooks(hook) == {"pre-install", "pre-upgrade"}
    assert hooks({"kind": "Job", "metadata": {"name": "b"}}) == frozenset()


def test_a_selector_matches_labels_that_have_all_of_it() -> None:
    assert selects({"app": "a"}, {"app": "a", "tier": "b"})
    assert not selects({"app": "a", "tier": "c"}, {"app": "a", "tier": "b"})
    assert not selects({}, {"app": "a"})


def test_templates_are_told_apart_by_content_alone() -> None:
    assert template_hash({"a": 1, "b": 2}) == template_hash({"b": 2, "a": 1})
    assert template_hash({"a": 1}) != template_hash({"a": 2})
