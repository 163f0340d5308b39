"""Server-side apply: every field remembers who set it, and only they may take it away.

A path is the names, keys and members that lead to a field. See "Server-Side Apply" in the documentation of Kubernetes.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.kubernetes_api.kinds import Object, Refusal
from tests.kubernetes_api.structure import DEFAULTS, Key, Structure

NOBODY_S = ("apiVersion", "kind", "status")
IDENTITY = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp", "generation", "managedFields")
ABSENT = object()

Path = tuple[Any, ...]
"""str: a field of a map; Key: an entry of a list that is a map; Member: of a list that is a set."""


@dataclass(frozen=True)
class Member:
    """Of a list that is a set."""

    value: Any


@dataclass(frozen=True)
class Manager:
    """Whoever sets fields."""

    name: str
    applies: bool
    """By server-side apply; otherwise by an update or a patch."""


Owners = dict[Manager, frozenset[Path]]


def apply(
    live: Object, config: Object, structure: Structure, owners: Owners, manager: Manager, *, force: bool
) -> tuple[Object, Owners]:
    """The object with everything that the manager wants, and without what only it wanted before.

    Raises:
        Refusal: others own fields that it wants to be different, and it does not use force.
    """
    wanted = fields(config, structure)
    others = {other: paths for other, paths in owners.items() if other != manager}
    conflicts = {
        path: other for other, paths in others.items() for path in paths & wanted if _differ(live, config, path)
    }
    if conflicts and not force:
        said = ", ".join(f'conflict with "{other.name}": {_text(path)}' for path, other in sorted_paths(conflicts))
        raise Refusal(409, "Conflict", f"Apply failed with {len(conflicts)} conflict(s): {said}")
    others = {other: paths - conflicts.keys() for other, paths in others.items()}
    result = _merged(live, config, structure)
    still = wanted.union(*others.values())
    for path in sorted(owners.get(manager, frozenset()) - wanted, key=len):
        if not any(other[: len(path)] == path for other in still):
            _remove(result, path)
    return result, {**others, manager: wanted}


def update(old: Object, new: Object, structure: Structure, owners: Owners, manager: Manager) -> Owners:
    """Who owns what after a manager has made one object of another by an update or a patch."""
    before, after = fields(old, structure), fields(new, structure)
    changed = frozenset(path for path in after if path not in before or _differ(old, new, path))
    gone = before - after
    result = {owner: paths - changed - gone for owner, paths in owners.items()}
    result[manager] = result.get(manager, frozenset()) | changed
    return {owner: paths for owner, paths in result.items() if paths}


def fields(item: Object, structure: Structure) -> frozenset[Path]:
    """Paths of the fields of an object that somebody owns."""
    found = set()
    for path in _paths(item, structure):
        if path[0] not in NOBODY_S and not (path[0] == "metadata" and (len(path) == 1 or path[1] in IDENTITY)):
            found.add(path)
    return frozenset(found)


def sorted_paths(conflicts: dict[Path, Manager]) -> list[tuple[Path, Manager]]:
    return sorted(conflicts.items(), key=lambda item: _text(item[0]))


def _paths(value: Any, structure: Structure, path: Path = ()) -> Iterator[Path]:
    if isinstance(value, dict) and value and not structure.is_atomic:
        for name, below in value.items():
            yield from _paths(below, structure.field(name), (*path, name))
    elif isinstance(value, list) and structure.keys:
        for entry in value:
            here = (*path, structure.key(entry))
            yield here
            yield from _paths(entry, structure.entry, here)
    elif isinstance(value, list) and structure.is_set:
        yield from ((*path, Member(entry)) for entry in value)
    elif path:
        yield path


def _at(value: Any, path: Path) -> Any:
    for step in path:
        if isinstance(step, str):
            value = value.get(step, ABSENT) if isinstance(value, dict) else ABSENT
        elif isinstance(step, Member):
            value = step.value if step.value in value else ABSENT
        else:
            value = _entry(value, step)
        if value is ABSENT:
            return ABSENT
    return value


def _entry(entries: Any, key: Key) -> Any:
    for entry in entries if isinstance(entries, list) else ():
        if all(entry.get(name, DEFAULTS.get(name)) == value for name, value in key):
            return entry
    return ABSENT


def _differ(one: Object, other: Object, path: Path) -> bool:
    """Whether a field has different values; the entries of a list differ by their fields."""
    return isinstance(path[-1], str) and _at(one, path) != _at(other, path)


def _merged(live: Any, config: Any, structure: Structure) -> Any:
    if isinstance(live, dict) and isinstance(config, dict) and not structure.is_atomic:
        result = dict(live)
        for name, value in config.items():
            result[name] = _merged(live.get(name), value, structure.field(name))
        return result
    if isinstance(live, list) and isinstance(config, list) and structure.keys:
        before = {structure.key(entry): entry for entry in live}
        wanted = [structure.key(entry) for entry in config]
        merged = [_merged(before.get(structure.key(entry)), entry, structure.entry) for entry in config]
        return merged + [entry for key, entry in before.items() if key not in wanted]
    if isinstance(live, list) and isinstance(config, list) and structure.is_set:
        return config + [entry for entry in live if entry not in config]
    return copy.deepcopy(config)


def _remove(item: Object, path: Path) -> None:
    *above, last = path
    parent = _at(item, tuple(above))
    if parent is ABSENT:
        return
    if isinstance(last, str):
        if not (above and _is_key(above[-1], last)):  # without it the entry would be another one
            parent.pop(last, None)
    elif isinstance(last, Member):
        if last.value in parent:
            parent.remove(last.value)
    elif (entry := _entry(parent, last)) is not ABSENT:
        parent.remove(entry)


def _is_key(step: Any, name: str) -> bool:
    return isinstance(step, tuple) and name in dict(step)


def _text(path: Path) -> str:
    words = []
    for step in path:
        if isinstance(step, str):
            words.append(f".{step}")
        elif isinstance(step, Member):
            words.append(f"[{step.value}]")
        else:
            words.append("[" + ",".join(f'{name}="{value}"' for name, value in step) + "]")
    return "".join(words)
