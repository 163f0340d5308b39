"""Print what this project requires, one requirement a line, without installing the project.

    python tools/requirements.py pyproject.toml cpu kubernetes,s3

An image installs these in a layer of their own, which stays the same until pyproject.toml changes.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path


def requirements(project: Path, extras: Iterable[str]) -> list[str]:
    """Requirements of a project with some of its extras.

    Args:
        project: its pyproject.toml.
        extras: names of optional dependencies.

    Raises:
        SystemExit: the project has no such extra; the message lists those it has.
    """
    table = tomllib.loads(project.read_text())["project"]
    optional: dict[str, list[str]] = table.get("optional-dependencies", {})
    own = re.compile(rf"{re.escape(table['name'])}\[(.*)\]")
    wanted: list[str] = list(table.get("dependencies", []))
    open_extras, seen = list(extras), set[str]()
    while open_extras:
        extra = open_extras.pop(0)
        if extra in seen:
            continue
        if extra not in optional:
            raise SystemExit(f"{project}: no extra {extra} (there are: {', '.join(sorted(optional))})")
        seen.add(extra)
        for requirement in optional[extra]:
            # An extra may consist of other extras: pip would look for this project in an index.
            if included := own.fullmatch(requirement):
                open_extras += included.group(1).split(",")
            else:
                wanted.append(requirement)
    return wanted


if __name__ == "__main__":
    named = [extra for argument in sys.argv[2:] for extra in argument.split(",") if extra]
    print(*requirements(Path(sys.argv[1]), named), sep="\n")
