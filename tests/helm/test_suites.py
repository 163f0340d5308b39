"""What the chart has for other test tools holds: values for ct, suites for the plugin helm-unittest."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from tests.helm.chart import CHART, CPU, Object, Refused, render_text

SUITES = {path.name: yaml.safe_load(path.read_text()) for path in sorted((CHART / "tests").glob("*_test.yaml"))}
CASES = [(name, case["it"]) for name, suite in SUITES.items() for case in suite["tests"]]
MISSING = object()


def test_ct_installs_what_trains_on_any_cluster() -> None:
    values = [path.resolve() for path in (CHART / "ci").glob("*-values.yaml")]
    assert values == [CPU]


@pytest.mark.parametrize(("name", "what"), CASES, ids=[f"{name}: {what}" for name, what in CASES])
def test_a_suite_of_helm_unittest_holds(name: str, what: str) -> None:
    suite = SUITES[name]
    (case,) = (case for case in suite["tests"] if case["it"] == what)
    (template,) = suite["templates"]
    assert (CHART / "templates" / template).is_file()
    refusal, documents = "", []
    try:
        files = [CHART / "tests" / path for path in suite["values"]]
        documents = of_template(render_text(*files, values=nested(case.get("set", {}))), template)
    except Refused as error:
        refusal = str(error)
    for assertion in case["asserts"]:
        ((kind, expected),) = assertion.items()
        assert holds(kind, expected, documents, refusal), f"{assertion}\n{refusal}\n{documents}"


def test_a_suite_that_is_wrong_fails() -> None:
    document = {"kind": "Job", "metadata": {"name": "a-1"}, "spec": {"list": [{"a.b/c": 2}]}}
    wrong = [
        ("equal", {"path": 'spec.list[0]["a.b/c"]', "value": 3}),
        ("notExists", {"path": "metadata.name"}),
        ("matchRegex", {"path": "metadata.name", "pattern": "-[a-z]$"}),
        ("isKind", {"of": "Deployment"}),
        ("hasDocuments", {"count": 0}),
        ("failedTemplate", {"errorPattern": "no store"}),
    ]
    assert [kind for kind, expected in wrong if holds(kind, expected, [document], "no run")] == []
    assert holds("equal", {"path": 'spec.list[0]["a.b/c"]', "value": 2}, [document], "")


def holds(kind: str, expected: Any, documents: list[Object], refusal: str) -> bool:
    """Whether every document meets an assertion of the plugin."""
    match kind:
        case "failedTemplate":
            return re.search(expected["errorPattern"], refusal) is not None
        case "hasDocuments":
            return not refusal and len(documents) == expected["count"]
    checks = {
        "equal": lambda found: found == expected["value"],
        "notExists": lambda found: found is MISSING,
        "matchRegex": lambda found: re.search(expected["pattern"], found) is not None,
        "isKind": lambda found: found == expected["of"],
    }
    path = "kind" if kind == "isKind" else expected["path"]
    return not refusal and bool(documents) and all(checks[kind](at(document, path)) for document in documents)


def at(document: Any, path: str) -> Any:
    """What is at a path such as `spec.containers[0].limits["nvidia.com/gpu"]`, MISSING if nothing is."""
    for key, number, quoted in re.findall(r'([^.\[]+)|\[(\d+)\]|\["([^"]+)"\]', path):
        try:
            document = document[int(number)] if number else document[key or quoted]
        except (KeyError, IndexError):
            return MISSING
    return document


def nested(settings: dict[str, Any]) -> Object:
    """`set` of the plugin, dotted keys, as values."""
    values: Object = {}
    for path, value in settings.items():
        *parents, last = path.split(".")
        inner = values
        for parent in parents:
            inner = inner.setdefault(parent, {})
        inner[last] = value
    return values


def of_template(rendered: str, template: str) -> list[Object]:
    """Objects that come from one template."""
    parts = re.split(r"(?m)^---\n", rendered)
    found = (yaml.safe_load(part) for part in parts if f"/templates/{template}\n" in part.partition("\n")[0] + "\n")
    return [item for item in found if item]
