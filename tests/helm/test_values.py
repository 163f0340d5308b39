"""values.yaml and its schema say the same, and every key is described."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import yaml
from jsonschema import Draft7Validator

from tests.helm.chart import CHART, OVERLAYS
from tools.chart_readme import main, undescribed_keys

SCHEMA = json.loads((CHART / "values.schema.json").read_text())
VALUES = yaml.safe_load((CHART / "values.yaml").read_text())


def schema_keys(schema: dict[str, Any], path: str = "") -> Iterator[str]:
    for key, inner in schema.get("properties", {}).items():
        yield f"{path}{key}"
        yield from schema_keys(inner, f"{path}{key}.")


def value_keys(values: dict[str, Any], known: set[str], path: str = "") -> Iterator[str]:
    for key, inner in values.items():
        yield f"{path}{key}"
        if isinstance(inner, dict) and any(one.startswith(f"{path}{key}.") for one in known):
            yield from value_keys(inner, known, f"{path}{key}.")


def test_the_schema_knows_every_key_and_no_other() -> None:
    known = set(schema_keys(SCHEMA))
    assert known - {"enabled"} == set(value_keys(VALUES, known))


def test_the_schema_is_valid_and_takes_the_defaults() -> None:
    Draft7Validator.check_schema(SCHEMA)
    assert [error.message for error in Draft7Validator(SCHEMA).iter_errors(VALUES)] == []


def test_every_section_is_closed_but_the_shared_one() -> None:
    def open_sections(schema: dict[str, Any], path: str) -> Iterator[str]:
        if "properties" in schema and schema.get("additionalProperties") is not False:
            yield path
        for key, inner in schema.get("properties", {}).items():
            yield from open_sections(inner, f"{path}.{key}")

    assert list(open_sections(SCHEMA, "")) == [".global"]
    assert all(
        one.get("additionalProperties") is False for one in SCHEMA["definitions"].values() if "properties" in one
    )


def test_every_key_has_a_description() -> None:
    assert undescribed_keys((CHART / "values.yaml").read_text()) == []


def test_the_readme_s_table_is_current() -> None:
    assert main(["--check"]) == 0


def test_every_overlay_is_in_the_readme_and_in_the_tests() -> None:
    overlays = {path.name for path in CHART.glob("values-*.yaml")}
    assert overlays == {path.name for files in OVERLAYS.values() for path in files if path.parent == CHART}
    readme = (CHART / "README.md").read_text()
    assert all(f"`{name}`" in readme for name in overlays)
