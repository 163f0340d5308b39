"""What all benchmarks share: pairs of runs on a noisy machine, and one form of result."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import torch


@dataclass(frozen=True, slots=True)
class Result:
    """One claim: how this project does against a peer. A ratio above 1 means better than the peer."""

    name: str
    peer: str
    ours: float
    theirs: float
    ratio: float
    """Of the medians of both sides, unless the benchmark says what else."""
    goal: float
    holds: bool
    n: int
    """Pairs of runs; where a benchmark compares something else (requests, sizes), how many of them."""
    spread: tuple[float, float]
    """Lowest and highest ratio of a single pair."""
    machine: str
    details: dict[str, Any] = field(default_factory=dict)

    def line(self) -> str:
        """For people."""
        low, high = self.spread
        unit = self.details.get("unit", "")
        return (
            f"{self.name}: {self.ours:.3g} {unit}, {self.peer} {self.theirs:.3g} {unit}: x {self.ratio:.2f} "
            f"({low:.2f} to {high:.2f}, n = {self.n}), goal {self.goal}: "
            f"{'holds' if self.holds else 'does not hold'}; {self.machine}"
        )

    def to_json(self) -> str:
        """On one line, with the commit that was measured."""
        return json.dumps({**asdict(self), "commit": commit()})


@dataclass(frozen=True, slots=True)
class Pairs:
    """Seconds of paired runs."""

    ours: list[float]
    theirs: list[float]

    @property
    def speedup(self) -> float:
        """Median seconds of the peer over ours."""
        return median(self.theirs) / median(self.ours)

    @property
    def spread(self) -> tuple[float, float]:
        """Lowest and highest speed-up of a pair."""
        ratios = [theirs / ours for ours, theirs in zip(self.ours, self.theirs, strict=True)]
        return min(ratios), max(ratios)


def paired(ours: Callable[[], object], theirs: Callable[[], object], n: int) -> Pairs:
    """Time two functions n times each, one after the other, so that a busy machine slows both alike.

    Each runs once before. Which of a pair goes first alternates.
    """
    seconds: dict[Callable[[], object], list[float]] = {ours: [], theirs: []}
    ours(), theirs()
    for i in range(n):
        for run in (ours, theirs) if i % 2 == 0 else (theirs, ours):
            began = time.perf_counter()
            run()
            seconds[run].append(time.perf_counter() - began)
    return Pairs(seconds[ours], seconds[theirs])


def use_threads(threads: int) -> None:
    """Give torch and the tokenizers this many threads. Call before either has done any work."""
    torch.set_num_threads(threads)
    os.environ["RAYON_NUM_THREADS"] = str(threads)


def machine(device: str = "cpu") -> str:
    """What ran it, on one line: the processor, its cores, threads in use, the GPU if `device` is one, versions."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    processor = names[0] if names else platform.processor() or platform.machine()
    gpu = f"{torch.cuda.get_device_name(device)}, " if device.startswith("cuda") else ""
    return (
        f"{processor}, {os.cpu_count()} cores, {torch.get_num_threads()} threads, {gpu}"
        f"torch {torch.__version__}, Python {platform.python_version()}"
    )


def commit() -> str:
    """The commit of the source tree, with `+` where files differ from it; `unknown` outside a checkout."""
    root = Path(__file__).parents[1]
    git = ["git", "-C", str(root)]
    found = subprocess.run([*git, "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True, check=False)
    changed = subprocess.run([*git, "diff", "--quiet", "HEAD"], capture_output=True, check=False).returncode
    return found.stdout.strip() + ("+" if changed else "") if found.returncode == 0 else "unknown"
