"""Patches that a client computes: JSON merge patches and strategic merge patches."""

from __future__ import annotations

import copy
from typing import Any

from tests.kubernetes_api.kinds import Object
from tests.kubernetes_api.structure import Structure

ORDER = "$setElementOrder/"
DELETE_MEMBERS = "$deleteFromPrimitiveList/"


def json_merge(present: Object, patch: Object) -> Object:
    """The object with a JSON merge patch applied (RFC 7386)."""
    result = copy.deepcopy(present)
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict):
            result[key] = json_merge(result.get(key) or {}, value)
        else:
            result[key] = value
    return result


def strategic_merge(present: Object, patch: Object, structure: Structure) -> Object:
    """The object with a strategic merge patch applied: lists that have a merge key are merged, entry by entry."""
    if patch.get("$patch") == "replace":
        return {key: value for key, value in patch.items() if key != "$patch"}
    if patch.get("$patch") == "delete":
        return {}
    result = copy.deepcopy(present)
    if "$retainKeys" in patch:
        result = {key: value for key, value in result.items() if key in patch["$retainKeys"]}
    for key, value in patch.items():
        if key.startswith(DELETE_MEMBERS):
            name = key.removeprefix(DELETE_MEMBERS)
            result[name] = [member for member in result.get(name, ()) if member not in value]
        elif key.startswith("$"):
            continue
        elif value is None:
            result.pop(key, None)
        elif isinstance(value, dict):
            result[key] = strategic_merge(result.get(key) or {}, value, structure.field(key))
        elif isinstance(value, list) and structure.field(key).merges:
            result[key] = _merged_list(result.get(key) or [], value, structure.field(key))
        else:
            result[key] = value
    for key, order in patch.items():
        if key.startswith(ORDER):
            name = key.removeprefix(ORDER)
            result[name] = _ordered(result.get(name, []), order, structure.field(name).merge_key)
    return result


def _merged_list(present: list[Any], patch: list[Any], structure: Structure) -> list[Any]:
    key = structure.merge_key
    if not key:
        return present + [member for member in patch if member not in present]
    if any(entry == {"$patch": "replace"} for entry in patch):
        return [entry for entry in patch if entry != {"$patch": "replace"}]
    result = list(present)
    for entry in patch:
        place = next((place for place, one in enumerate(result) if one.get(key) == entry[key]), len(result))
        before = result[place : place + 1]
        after = strategic_merge(before[0] if before else {}, entry, structure.entry)
        result[place : place + 1] = [] if entry.get("$patch") == "delete" else [after]
    return result


def _ordered(entries: list[Any], order: list[Any], key: str) -> list[Any]:
    wanted = [entry[key] for entry in order] if key else order

    def place(entry: Any) -> int:
        name = entry[key] if key else entry
        return wanted.index(name) if name in wanted else len(wanted)

    return sorted(entries, key=place)
