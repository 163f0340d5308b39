import base64
from typing import Any

import pytest

from tests.pods.environment import PodFields, command_line, expand, quantity, resolve
from tests.pods.manifests import ManifestError, Objects

FIELDS = PodFields(
    name="pod-1",
    namespace="space",
    uid="u-1",
    ip="10.0.0.7",
    node="node",
    labels={"app": "search"},
    annotations={},
    service_account="robot",
)
OBJECTS = Objects(
    [
        {"kind": "ConfigMap", "metadata": {"name": "settings"}, "data": {"LEVEL": "INFO"}},
        {"kind": "Secret", "metadata": {"name": "keys"}, "data": {"password": base64.b64encode(b"pass").decode()}},
    ]
)


def environment(*variables: dict[str, Any], **container: Any) -> dict[str, str]:
    return resolve({"name": "c", "env": list(variables), **container}, FIELDS, OBJECTS, {"GIVEN": "image"})


def test_values_come_from_configuration_secrets_fields_and_resources() -> None:
    found = environment(
        {"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        {"name": "APP", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['app']"}}},
        {"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "password"}}},
        {"name": "LEVEL", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "LEVEL"}}},
        {"name": "CPUS", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}}},
        {"name": "MIB", "valueFrom": {"resourceFieldRef": {"resource": "limits.memory", "divisor": "1Mi"}}},
        resources={"limits": {"cpu": "1500m", "memory": "2Gi"}},
    )
    assert found == {
        "GIVEN": "image",
        "POD": "pod-1",
        "APP": "search",
        "PASSWORD": "pass",
        "LEVEL": "INFO",
        "CPUS": "2",
        "MIB": "2048",
    }


def test_later_variables_see_earlier_ones_and_win_over_the_image() -> None:
    found = environment({"name": "GIVEN", "value": "mine"}, {"name": "URL", "value": "http://$(GIVEN)/$$(GIVEN)/$(NO)"})
    assert found == {"GIVEN": "mine", "URL": "http://mine/$(GIVEN)/$(NO)"}


def test_whole_objects_become_variables_with_a_prefix() -> None:
    assert environment(envFrom=[{"prefix": "X_", "configMapRef": {"name": "settings"}}])["X_LEVEL"] == "INFO"


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ({"secretKeyRef": {"name": "absent", "key": "k"}}, "secret absent does not exist"),
        ({"secretKeyRef": {"name": "keys", "key": "k"}}, "secretKeyRef keys has no key k"),
        ({"fieldRef": {"fieldPath": "status.phase"}}, "no fieldRef status.phase"),
        ({"resourceFieldRef": {"resource": "limits.cpu"}}, "has no limits.cpu"),
    ],
)
def test_a_reference_that_leads_nowhere_is_an_error(source: dict[str, Any], problem: str) -> None:
    with pytest.raises(ManifestError, match=problem):
        environment({"name": "X", "valueFrom": source})


def test_an_optional_reference_may_lead_nowhere() -> None:
    source = {"secretKeyRef": {"name": "absent", "key": "k", "optional": True}}
    assert "X" not in environment({"name": "X", "valueFrom": source})


def test_a_command_hides_the_arguments_of_the_image() -> None:
    image = (["entry"], ["default"])
    assert command_line({"name": "c"}, {}, *image) == ["entry", "default"]
    assert command_line({"name": "c", "args": ["$(A)"]}, {"A": "mine"}, *image) == ["entry", "mine"]
    assert command_line({"name": "c", "command": ["run"]}, {}, *image) == ["run"]
    with pytest.raises(ManifestError, match="nothing to execute"):
        command_line({"name": "c"}, {}, [], [])


def test_quantities_have_decimal_and_binary_suffixes() -> None:
    assert [quantity(text) for text in ("250m", "2Ki", "3k", 4)] == [0.25, 2048, 3000, 4]
    with pytest.raises(ManifestError, match="2 GB is not a quantity"):
        quantity("2 GB")


def test_dollar_signs_can_be_written() -> None:
    assert expand("$$5 $(X)", {"X": "y"}) == "$5 y"
