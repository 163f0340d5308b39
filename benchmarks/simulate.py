"""A model of a refresh against measured ones with 1, 2 and 4 encoders, and what it predicts for large corpora.

The encoders sleep as long as a GPU would compute, so that four of them fit on two cores; queue, store and indexer are
the real ones. The model gets the pace of the encoders, and what a task costs beside from the run with one. With
--real the encoders are real inferencers, which share the cores of this machine.

python -m benchmarks.simulate [--real] [--pace 400] [--price 2.0] [--cores 32] [--json]
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from statistics import median

from benchmarks.harness import Result, machine
from benchmarks.options import DEMO, parser, with_dataset
from benchmarks.pipeline import pipeline
from benchmarks.refresh import SETTINGS
from benchmarks.refresh_model import Encoders, Miners, Work, mean_async_gap, simulate
from benchmarks.runs import load_config, offline
from benchmarks.scale_steps import QUERIES, World, preparing, refresh

GOAL = 0.9
COUNTS = (1, 2, 4)
ROWS, SHARD_ROWS = 20_000, 200

ROWS_A_SECOND = 1 / 0.0045
"""A V100 with BERT-base encodes a passage in 4.5 ms (source: ANCE paper, table 5)."""
STEPS_A_SECOND = 1 / (0.072 + 0.019)
"""Making the negatives of a batch 72 ms, backward pass 19 ms (source: the same table)."""
SCORES_A_CORE = 4.5e7
"""A core ranks so many inner products of 768 dimensions a second (measured: `StreamingTopK`, 4,096 queries, k 200)."""
QUERIES_TRAIN = 502_939
"""Training queries of MS MARCO passage ranking with a judgement (source: its qrels.train.tsv)."""
CORPORA = {"MS MARCO": 8_841_823, "1 B passages": 1_000_000_000}
FLEETS = {"MS MARCO": (1, 4, 8, 32, 128), "1 B passages": (128, 512, 2048)}
RANGES = {"MS MARCO": 4, "1 B passages": 64}


def main(arguments: Sequence[str] | None = None) -> Result:
    """Measure, print, and return the result. The figures are speed-ups with four encoders, predicted and measured."""
    command_line = with_dataset(parser("simulate", __doc__))
    command_line.add_argument("--real", action="store_true", help="real inferencers, which share this machine's cores")
    command_line.add_argument("--pace", type=float, default=400.0, help="passages a second of an encoder that sleeps")
    command_line.add_argument("--price", type=float, default=2.0, help="of an hour of a GPU, for the predictions")
    command_line.add_argument("--cores", type=int, default=32, help="of an indexer, for the predictions")
    options = command_line.parse_args(arguments)
    offline()
    seconds = real_runs(options.dataset) if options.real else paced_runs(options.pace)
    predicted = shared_cores(seconds) if options.real else paced(seconds, options.pace)
    result = summarise(seconds, predicted, real=options.real)
    print(result.to_json() if options.json else result.line())
    if not options.json:
        for count in COUNTS:
            print(f"  {count} encoders: measured {seconds[count]:.2f} s, predicted {predicted[count]:.2f} s")
        for line in forecasts(options.price, options.cores):
            print(line)
    return result


def paced_runs(pace: float) -> dict[int, float]:
    """Seconds of a refresh with each number of encoders that sleep."""
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder), ROWS, SHARD_ROWS)
        preparing(world)()
        return {
            count: refresh(replace(world, run=f"encoders-{count}"), count, pace).measured.seconds for count in COUNTS
        }


def paced(seconds: dict[int, float], pace: float) -> dict[int, float]:
    """What the model says of `paced_runs`, with the cost of a task from the run with one encoder."""
    work = Work(ROWS + sum(QUERIES.values()), queries=0, shard_rows=SHARD_ROWS)
    shards = work.passages / SHARD_ROWS
    fleet = Encoders(1, pace, task_seconds=(seconds[1] - work.passages / pace) / shards, spread=0.0)
    return {count: simulate(work, replace(fleet, count=count), Miners()).refresh_seconds for count in COUNTS}


def real_runs(dataset: str) -> dict[int, float]:
    """Seconds of a refresh with each number of real inferencers, one thread each."""
    seconds: dict[int, float] = {}
    with pipeline(load_config(DEMO, SETTINGS), dataset) as running:
        for before, count in pairwise((0, *COUNTS)):
            for number in range(before, count):
                running.add_inferencer(f"inferencer-{number}")
            running.settle()
            seconds[count] = median(running.refresh()["refresh_seconds"] for _ in range(3))
    return seconds


def shared_cores(seconds: dict[int, float]) -> dict[int, float]:
    """What the model says of `real_runs`: more encoders than cores share the cores."""
    cores, shards = os.cpu_count() or 1, 64
    work = Work(shards * SHARD_ROWS, queries=0, shard_rows=SHARD_ROWS)
    rate = work.passages / seconds[1]
    return {
        count: simulate(work, Encoders(count, rate * min(1.0, cores / count)), Miners()).refresh_seconds
        for count in COUNTS
    }


def summarise(seconds: dict[int, float], predicted: dict[int, float], *, real: bool) -> Result:
    """The claim: the model is right about the speed-ups."""
    speedups = {
        name: {count: of[1] / of[count] for count in COUNTS[1:]}
        for name, of in (("measured", seconds), ("predicted", predicted))
    }
    agreement = [
        min(speedups["measured"][count], speedups["predicted"][count])
        / max(speedups["measured"][count], speedups["predicted"][count])
        for count in COUNTS[1:]
    ]
    most = COUNTS[-1]
    return Result(
        name="simulate",
        peer="measured speed-up",
        ours=speedups["predicted"][most],
        theirs=speedups["measured"][most],
        ratio=min(agreement),
        goal=GOAL,
        holds=min(agreement) >= GOAL,
        n=len(COUNTS),
        spread=(min(agreement), max(agreement)),
        machine=machine(),
        details={"unit": "x", "real": real, "measured_seconds": seconds, "predicted_seconds": predicted} | speedups,
    )


def forecasts(price: float, cores: int) -> list[str]:
    """Predictions for large corpora, one line each, in the form of a Markdown table."""
    heads = ("corpus", "GPUs", "ranges", "refresh", "encoders busy", "mean async gap", "cost of a refresh")
    lines = [f"| {' | '.join(heads)} |", "|" + "---|" * len(heads)]
    for corpus, passages in CORPORA.items():
        for gpus in FLEETS[corpus]:
            work = Work(passages, QUERIES_TRAIN)
            ranges, encoders = RANGES[corpus], Encoders(gpus, ROWS_A_SECOND, task_seconds=1.0)
            fleet = simulate(work, encoders, Miners(ranges, cores * SCORES_A_CORE))
            hours = fleet.refresh_seconds / 3600
            gap = mean_async_gap(fleet.refresh_seconds, STEPS_A_SECOND)
            lines.append(
                f"| {corpus} | {gpus} | {ranges} | {hours:.2f} h | {fleet.encoders_busy:.0%} | {gap:,.0f} steps "
                f"| {gpus * hours * price:,.0f} |"
            )
    return lines


if __name__ == "__main__":
    main()
