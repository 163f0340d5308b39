"""A generated page: written, or held against what is committed."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def page_options(tool: str, page: Path) -> argparse.ArgumentParser:
    """Command line of a tool that generates a page.

    Args:
        tool: name of its module.
        page: where it goes unless --output says where else.
    """
    parser = argparse.ArgumentParser(prog=tool, description=f"Generate docs/{page.name}.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 on drift")
    parser.add_argument("--output", type=Path, default=page, help="the page")
    return parser


def write_or_check(text: str, options: argparse.Namespace, tool: str, source: object) -> int:
    """Write the page or, with --check, compare it. Returns the exit code.

    Args:
        text: of the page.
        options: from `page_options`.
        tool: name of the module that mends drift.
        source: what the page is made from.
    """
    if not options.check:
        options.output.parent.mkdir(parents=True, exist_ok=True)
        options.output.write_text(text)
        return 0
    if options.output.is_file() and options.output.read_text() == text:
        return 0
    print(f"{options.output}: differs from {source}. Run `python -m {tool}` and commit the result.", file=sys.stderr)
    return 1
