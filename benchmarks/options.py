"""The command line that benchmarks share."""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from ance.cli.demo import DATASET

DEMO = Path(__file__).parents[1] / "ance" / "cli" / "demo.yaml"


def parser(name: str, about: str | None) -> argparse.ArgumentParser:
    """Of `python -m benchmarks.NAME`."""
    options = argparse.ArgumentParser(prog=f"benchmarks.{name}", description=about)
    options.add_argument("--json", action="store_true", help="print the result as JSON")
    return options


def with_dataset(options: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """For a benchmark that prepares a data set."""
    options.add_argument("--dataset", default=DATASET, help="as for `ance prepare`")
    return options


def with_config(options: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """For a benchmark that prepares a data set and configures a run."""
    with_dataset(options).add_argument("--config", type=Path, default=DEMO, help="run configuration")
    return options


def with_device(options: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """For a benchmark that computes on the CPU or on a GPU."""
    options.add_argument(
        "--device", type=_device, default="cpu", help="where models run: cpu, cuda, cuda:1 (default: cpu)"
    )
    return options


def _device(name: str) -> str:
    if name != "cpu" and not (name.startswith("cuda") and torch.cuda.is_available()):
        raise argparse.ArgumentTypeError(
            f"there is no device {name} that torch can use: give cpu, or cuda where one is"
        )
    return name


def with_threads(options: argparse.ArgumentParser, threads: int) -> argparse.ArgumentParser:
    """For a benchmark whose sides compute on so many threads."""
    options.add_argument("--threads", type=int, default=threads)
    return options
