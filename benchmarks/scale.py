"""How time and memory grow with the corpus: random passages, prepared, opened, planned, refreshed and loaded.

Encoders are stubs, so that what is left is what the system itself costs. No step may grow faster than the corpus;
the coordinator of a refresh must stay under 2 GiB. Vectors have 16 dimensions: a real index adds what its vectors take.

python -m benchmarks.scale [--rows 10000 100000 1000000] [--folder /var/tmp] [--json]
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path

import numpy as np

from benchmarks.harness import Result, machine
from benchmarks.options import parser
from benchmarks.runs import offline
from benchmarks.scale_steps import Measured, Refreshed, World, loading, measure, opening, planning, preparing, refresh

GOAL = 0.85
"""1 / 1.18: growth that a measurement on a busy machine still takes for linear."""
LEAST_SECONDS = 0.2
"""Shorter times say nothing of growth."""
SHARD_ROWS = 10_000
COORDINATOR_MB = 2048
MANY = 1000
"""Shards of the refresh that measures the cost of one."""
MANY_ROWS = 100_000
SHARD_MILLISECONDS = 5.0

Steps = dict[str, Measured]


def main(arguments: Sequence[str] | None = None) -> Result:
    """Measure, print, and return the result. The figures are exponents of the growth of the worst step."""
    command_line = parser("scale", __doc__)
    command_line.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    command_line.add_argument("--folder", type=Path, help="where there is room: 1 GB for a million rows")
    options = command_line.parse_args(arguments)
    offline()
    measured: dict[int, Steps] = {}
    shard: Refreshed | None = None
    for rows in sorted(options.rows):
        with tempfile.TemporaryDirectory(dir=options.folder) as folder:
            measured[rows] = steps_of(World(Path(folder), rows, SHARD_ROWS))
            if not options.json:
                print(f"{rows} rows: {described(measured[rows])}", flush=True)
            if rows == MANY_ROWS:
                shard = refresh(World(Path(folder), rows, rows // MANY, run="many"))
    result = summarise(measured, shard)
    print(result.to_json() if options.json else result.line())
    if shard is not None and not options.json:
        milliseconds = result.details["coordinator_ms_a_shard"]
        print(f"  {milliseconds:.2f} ms of the coordinator's processor time a shard, of {shard.shards} shards")
    return result


def steps_of(world: World) -> Steps:
    """Time and memory of every step, in order."""
    taken = {"prepare": measure(preparing, world), "open": measure(opening, world), "plan": measure(planning, world)}
    return taken | {"refresh": refresh(world).measured, "load": measure(loading, world)}


def exponents(seconds: Mapping[int, float]) -> list[float]:
    """Growth of processor time from each size to the next: 1 where it grows as the rows do."""
    return [
        float(np.log(seconds[large] / seconds[small]) / np.log(large / small))
        for small, large in pairwise(sorted(seconds))
        if seconds[small] >= LEAST_SECONDS
    ]


def summarise(measured: Mapping[int, Steps], shard: Refreshed | None) -> Result:
    """The claim: no step is super-linear, the coordinator stays small, and a shard costs it little."""
    names = next(iter(measured.values()))
    growth = {name: exponents({rows: steps[name].cpu_seconds for rows, steps in measured.items()}) for name in names}
    # Between the two largest corpora, where what does not grow matters least.
    last = {name: each[-1] for name, each in growth.items() if each}
    worst = max(last.values(), default=float("nan"))
    peak = max(steps["refresh"].peak_mb for steps in measured.values())
    per_shard = 1000 * shard.measured.cpu_seconds / shard.shards if shard else None
    return Result(
        name="scale",
        peer="growth as that of the corpus",
        ours=worst,
        theirs=1.0,
        ratio=1 / worst,
        goal=GOAL,
        holds=1 / worst >= GOAL and peak < COORDINATOR_MB and (per_shard is None or per_shard < SHARD_MILLISECONDS),
        n=len(measured),
        spread=(1 / worst, 1 / min(last.values(), default=float("nan"))),
        machine=machine(),
        details={
            "unit": "exponent",
            "exponents": growth,
            "coordinator_peak_mb": peak,
            "coordinator_ms_a_shard": per_shard,
            "shard_rows": SHARD_ROWS,
            "steps": {
                str(rows): {name: asdict(step) for name, step in steps.items()} for rows, steps in measured.items()
            },
        },
    )


def described(steps: Steps) -> str:
    """For people."""
    return ", ".join(
        f"{name} {step.seconds:.2f} s ({step.cpu_seconds:.2f} of processor) {step.peak_mb:.0f} MB"
        for name, step in steps.items()
    )


if __name__ == "__main__":
    main()
