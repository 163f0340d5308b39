"""A refresh with two inferencers against one, one thread each.

python -m benchmarks.scaling [--dataset beir:FOLDER] [--json]
"""

from collections.abc import Sequence
from statistics import median

from benchmarks.harness import Result, machine
from benchmarks.options import parser, with_config
from benchmarks.pipeline import pipeline
from benchmarks.refresh import SETTINGS
from benchmarks.runs import load_config, offline

GOAL = 1.7


def main(arguments: Sequence[str] | None = None) -> Result:
    """Measure, print, and return the result. The figures are seconds a refresh takes."""
    command_line = with_config(parser("scaling", __doc__))
    command_line.add_argument("--runs", type=int, default=5, help="refreshes with each number of inferencers")
    options = command_line.parse_args(arguments)
    offline()
    seconds: dict[int, list[float]] = {}
    # The second joins and leaves in the middle, so that a machine that gets slower harms neither side alone.
    with pipeline(load_config(options.config, SETTINGS), options.dataset) as running:
        running.add_inferencer("inferencer-0")
        running.refresh()
        seconds[1] = [running.refresh()["refresh_seconds"] for _ in range(options.runs // 2)]
        running.add_inferencer("inferencer-1")
        running.settle()
        seconds[2] = [running.refresh()["refresh_seconds"] for _ in range(options.runs)]
        running.remove_inferencer("inferencer-1")
        running.settle()
        seconds[1] += [running.refresh()["refresh_seconds"] for _ in range(options.runs - options.runs // 2)]
    ratio = median(seconds[1]) / median(seconds[2])
    # Not measured in pairs: the fastest of both make one, the second fastest the next, and so on.
    ratios = [one / two for one, two in zip(sorted(seconds[1]), sorted(seconds[2]), strict=True)]
    result = Result(
        name="scaling",
        peer="one inferencer",
        ours=median(seconds[2]),
        theirs=median(seconds[1]),
        ratio=ratio,
        goal=GOAL,
        holds=ratio >= GOAL,
        n=options.runs,
        spread=(min(ratios), max(ratios)),
        machine=machine(),
        details={"unit": "s", "dataset": options.dataset, "inferencers": 2},
    )
    print(result.to_json() if options.json else result.line())
    return result


if __name__ == "__main__":
    main()
