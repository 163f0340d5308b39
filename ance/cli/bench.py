"""`ance bench`: one claim of the project, measured against its peer on this machine."""

import importlib
import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from ance.errors import AnceError

NAMES = ("encode", "mining", "refresh", "scaling")


def bench(
    name: Annotated[str, typer.Argument(help=f"One of: {', '.join(NAMES)}.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a line.")] = False,
) -> None:
    """Run one benchmark: our figure over its peer's, both taken in this run."""
    if name not in NAMES:
        raise AnceError(f"no benchmark is named '{name}'; there are: {', '.join(NAMES)}")
    # Benchmarks are part of the source tree, not of the installed package: they need the tree's peers.
    root = Path(__file__).parents[2]
    if not (root / "benchmarks" / f"{name}.py").is_file():
        raise AnceError("benchmarks run from a source checkout: clone the repository and install it with -e")
    sys.path.insert(0, str(root))
    result = importlib.import_module(f"benchmarks.{name}").run()
    print(json.dumps(result.to_dict(), indent=1) if as_json else result.line())
