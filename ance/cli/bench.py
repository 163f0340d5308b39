"""`ance bench`: one claim of the project, measured against its peer on this machine."""

import importlib
import sys
from pathlib import Path
from typing import Annotated

import typer

from ance.errors import AnceError

NAMES = (
    "artifacts",
    "attention",
    "encode",
    "latency",
    "mining",
    "negatives",
    "observability",
    "queue",
    "refresh",
    "roofline",
    "scale",
    "scaling",
    "simulate",
    "startup",
    "swap",
    "throughput",
    "train-step",
)


def bench(
    name: Annotated[str, typer.Argument(help=f"One of: {', '.join(NAMES)}.", show_default=False)],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of lines.")] = False,
) -> None:
    """Measure one claim of the README: our figure over its peer's, both taken in this run.

    `python -m benchmarks.NAME --help` lists its options.
    """
    if name not in NAMES:
        raise AnceError(f"no benchmark is named '{name}'; there are: {', '.join(NAMES)}")
    # Benchmarks belong to the source tree, not to the installed package: they need the peers of the `dev` extra.
    root = Path(__file__).parents[2]
    module_name = name.replace("-", "_")
    if not (root / "benchmarks" / f"{module_name}.py").is_file():
        raise AnceError("benchmarks run from a source checkout: clone the repository and install it with -e")
    sys.path.insert(0, str(root))
    try:
        module = importlib.import_module(f"benchmarks.{module_name}")
    except ModuleNotFoundError as error:
        raise AnceError(f"benchmark '{name}' needs {error.name}: run `pip install -e '.[cpu,demo,dev]'`") from error
    module.main(["--json"] if as_json else [])
