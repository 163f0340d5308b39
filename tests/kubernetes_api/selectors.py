"""Label and field selectors of a list or a watch."""

from __future__ import annotations

import re

from tests.kubernetes_api.kinds import Object, Refusal

SET = re.compile(r"(?P<key>\S+)\s+(?P<not>not)?in\s+\((?P<values>[^)]*)\)")
FIELDS = {"metadata.name": "name", "metadata.namespace": "namespace"}


def selected(item: Object, labels: str = "", fields: str = "") -> bool:
    """Whether both selectors match an object; empty ones match all.

    Raises:
        Refusal: a field cannot be selected by.
    """
    have = item["metadata"].get("labels") or {}
    wanted = re.split(r",(?![^(]*\))", labels) if labels else []
    return all(_matches(have, one.strip()) for one in wanted) and _has_fields(item, fields)


def _matches(labels: dict[str, str], requirement: str) -> bool:
    if found := SET.fullmatch(requirement):
        values = [value.strip() for value in found["values"].split(",")]
        return (labels.get(found["key"]) in values) != bool(found["not"])
    if "!=" in requirement:
        key, _, value = requirement.partition("!=")
        return labels.get(key) != value
    if "=" in requirement:
        key, _, value = requirement.replace("==", "=").partition("=")
        return labels.get(key) == value
    if requirement.startswith("!"):
        return requirement[1:] not in labels
    return requirement in labels


def _has_fields(item: Object, fields: str) -> bool:
    for one in filter(None, fields.split(",")):
        key, _, value = one.partition("=")
        if key not in FIELDS:
            raise Refusal(400, "BadRequest", f"field label not supported: {key}")
        if item["metadata"].get(FIELDS[key]) != value:
            return False
    return True
