"""What watching costs: metrics and tracing on against off, of a training step and of a search.

Each pair does the same work twice in one process, once watched and once not, in alternating order; what is told is the
median of the pairs' ratios. A watched step computes the last layer's gradient norms of every instance, shows itself in
the registry and is a span; a search goes through the whole application, sampled at 100 %. Spans are exported to a
collector in a process of its own.

python -m benchmarks.observability [--dataset beir:FOLDER] [--steps 60] [--searches 1500] [--json]
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from benchmarks.harness import Result, machine, use_threads
from benchmarks.options import parser, with_dataset, with_threads
from benchmarks.runs import offline
from benchmarks.watching import Comparison, Watching, sink
from benchmarks.watching_search import compare_searches
from benchmarks.watching_step import compare_steps

GOAL = round(1 / 1.02, 3)
"""At most 2 % on top."""


def main(arguments: Sequence[str] | None = None) -> Result:
    """Measure, print, and return the result: of step and search, the one that watching costs more."""
    command = with_threads(with_dataset(parser("observability", __doc__)), 1)
    command.add_argument("--steps", type=int, default=60, help="pairs of training steps")
    command.add_argument("--searches", type=int, default=1500, help="pairs of searches")
    options = command.parse_args(arguments)
    offline()
    use_threads(options.threads)
    with sink() as url, Watching.to(url) as watching, tempfile.TemporaryDirectory() as folder:
        compared = {
            "step": compare_steps(options.dataset, Path(folder), watching, options.steps),
            "search": asyncio.run(compare_searches(options.dataset, watching, options.searches)),
        }
    worst = min(compared.values(), key=lambda comparison: comparison.ratio)
    result = result_of(worst, compared, options.dataset)
    print(result.to_json() if options.json else result.line())
    if not options.json:
        for name, comparison in compared.items():
            print(f"  {name}: {cost(comparison)}")
    return result


def cost(comparison: Comparison) -> str:
    """For people: what watching adds, and in which range that lies with 95 %."""
    added, most, least = (100 * (1 / ratio - 1) for ratio in (comparison.ratio, *comparison.interval))
    milliseconds = 1000 * median(comparison.unwatched)
    return f"{added:+.2f} % ({least:+.2f} to {most:+.2f} %) of {milliseconds:.2f} ms, n = {len(comparison.ratios)}"


def result_of(worst: Comparison, compared: dict[str, Comparison], dataset: str) -> Result:
    """The claim: neither costs more than the goal."""
    return Result(
        name="observability",
        peer="the same work unwatched",
        ours=median(worst.watched),
        theirs=median(worst.unwatched),
        ratio=worst.ratio,
        goal=GOAL,
        holds=worst.ratio >= GOAL,
        n=len(worst.ratios),
        spread=(min(worst.ratios), max(worst.ratios)),
        machine=machine(),
        details={
            "unit": "s",
            "dataset": dataset,
            "median_ratio": {name: comparison.ratio for name, comparison in compared.items()},
            "interval_95": {name: comparison.interval for name, comparison in compared.items()},
        },
    )


if __name__ == "__main__":
    main()
