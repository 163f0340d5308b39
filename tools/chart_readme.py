"""Write the table of values into helm/ance/README.md, from the comments of values.yaml.

    python tools/chart_readme.py            write the table
    python tools/chart_readme.py --check    exit 1 if the table is not what values.yaml says

A key's description is the comment right above it. A key whose children have comments of their own is a group and
needs none; any other key without a comment is an error.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

CHART = Path(__file__).resolve().parent.parent / "helm" / "ance"
BEGIN, END = "<!-- values: begin -->", "<!-- values: end -->"
_KEY = re.compile(r"(?P<indent> *)(?P<key>\w+):(?: .*)?")


class ChartError(Exception):
    """values.yaml or README.md is not as this tool needs it; the message names the file and the key or line."""


@dataclass(frozen=True, slots=True)
class Key:
    """A key of values.yaml."""

    path: tuple[str, ...]
    description: str
    default: Any

    @property
    def dotted(self) -> str:
        """The key as `helm --set` names it."""
        return ".".join(self.path)


def described_keys(text: str) -> Iterator[Key]:
    """Every key of a values file that has a description, in the file's order. Groups come before their keys."""
    values = yaml.safe_load(text)
    open_keys: list[tuple[int, str]] = []
    comment: list[str] = []
    for line in text.splitlines():
        if line.lstrip().startswith("#"):
            comment.append(line.lstrip().removeprefix("#").strip())
            continue
        if match := _KEY.fullmatch(line):
            indent = len(match["indent"])
            open_keys = [(depth, key) for depth, key in open_keys if depth < indent] + [(indent, match["key"])]
            path = tuple(key for _, key in open_keys)
            if comment:
                yield Key(path, " ".join(comment), _at(values, path))
        comment = []


def undescribed_keys(text: str) -> list[str]:
    """Dotted keys without a description that are no groups."""
    described = {key.path for key in described_keys(text)}
    groups = {path[:depth] for path in described for depth in range(1, len(path))}

    def missing(values: Any, path: tuple[str, ...]) -> Iterator[str]:
        if path in groups or not path:
            for key, value in values.items():
                yield from missing(value, (*path, key))
        elif path not in described:
            yield ".".join(path)

    return list(missing(yaml.safe_load(text), ()))


def table(text: str) -> str:
    """The keys of a values file as Markdown, a section for each top-level group."""
    keys = list(described_keys(text))
    groups = {key.path[:depth] for key in keys for depth in range(1, len(key.path))}
    single = [key for key in keys if len(key.path) == 1 and key.path not in groups]
    lines = ["### The chart", "", *_rows(single)]
    for name in yaml.safe_load(text):
        if (name,) not in groups:
            continue
        lines += ["", f"### {name}", ""]
        lines += [f"{key.description}\n" for key in keys if key.path == (name,)]
        lines += _rows([key for key in keys if key.path[0] == name and key.path not in groups])
    return "\n".join(lines)


def _rows(keys: Sequence[Key]) -> list[str]:
    rows = [f"| `{key.dotted}` | `{json.dumps(key.default)}` | {_escape(key.description)} |" for key in keys]
    return ["| key | default | what it is |", "|---|---|---|", *(row.replace("\n", " ") for row in rows)]


def _escape(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


def _at(values: Any, path: Sequence[str]) -> Any:
    for key in path:
        values = values[key]
    return values


def with_table(readme: str, values: str) -> str:
    """The README with the table of these values between its markers.

    Raises:
        ChartError: a key has no description, or the README has no markers.
    """
    if missing := undescribed_keys(values):
        raise ChartError(f"values.yaml: no comment above {', '.join(missing)}")
    before, begin, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ChartError(f"README.md: the lines {BEGIN} and {END} are missing")
    return f"{before}{BEGIN}\n\n{table(values)}\n\n{END}{after}"


def main(argv: Sequence[str] | None = None) -> int:
    """Write the table or, with --check, compare it. Returns the exit code."""
    parser = argparse.ArgumentParser(description="Write the table of values into the chart's README.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 on drift")
    parser.add_argument("--chart", type=Path, default=CHART, help="folder of the chart")
    options = parser.parse_args(argv)

    readme = options.chart / "README.md"
    text = readme.read_text("utf-8")
    try:
        wanted = with_table(text, (options.chart / "values.yaml").read_text("utf-8"))
    except ChartError as error:
        print(f"chart_readme: {error}", file=sys.stderr)
        return 1
    if not options.check:
        readme.write_text(wanted, "utf-8")
        return 0
    if text != wanted:
        print(f"{readme}: the table is not what values.yaml says. Run `python tools/chart_readme.py`.", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
