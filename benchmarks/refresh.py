"""A refresh against encoding alone: what mining, indexing and publishing cost on top of the encoder.

From the first task to published negatives with one inferencer, over the time in which one process encodes the same
rows. One thread each.

python -m benchmarks.refresh [--dataset beir:FOLDER] [--tokens 128] [--pairs 5] [--json]
"""

from collections.abc import Sequence
from statistics import median

from benchmarks.harness import Result, machine
from benchmarks.options import parser, with_config
from benchmarks.pipeline import pipeline
from benchmarks.runs import load_config, offline

GOAL = round(1 / 1.05, 3)
"""At most 5 % on top of encoding."""
SETTINGS = {
    "training.warmup.steps": "0",
    "training.ance.steps": "1000000",
    "encoding.shard_size": "256",
}


def main(arguments: Sequence[str] | None = None) -> Result:
    """Measure, print, and return the result. The figures are seconds."""
    command_line = with_config(parser("refresh", __doc__))
    command_line.add_argument("--tokens", type=int, default=128, help="of a passage at most")
    command_line.add_argument("--pairs", type=int, default=5, help="refreshes")
    options = command_line.parse_args(arguments)
    offline()
    config = load_config(options.config, {**SETTINGS, "model.max_passage_tokens": str(options.tokens)})
    refreshes, encodings, merges = [], [], []
    with pipeline(config, options.dataset) as running:
        running.add_inferencer("inferencer-0")
        running.refresh()  # the first waits for the inferencer to start
        for _ in range(options.pairs):
            record = running.refresh()
            refreshes.append(record["refresh_seconds"])
            merges.append(record["merge_seconds"] + record["negatives_seconds"])
            encodings.append(running.encode_seconds())
    ratios = [encoding / refresh for encoding, refresh in zip(encodings, refreshes, strict=True)]
    ratio = median(encodings) / median(refreshes)
    result = Result(
        name="refresh",
        peer="encoding the same rows in one process",
        ours=median(refreshes),
        theirs=median(encodings),
        ratio=ratio,
        goal=GOAL,
        holds=ratio >= GOAL,
        n=options.pairs,
        spread=(min(ratios), max(ratios)),
        machine=machine(),
        details={
            "unit": "s",
            "dataset": options.dataset,
            "rows": record["rows"],
            "tokens": options.tokens,
            "mining_seconds": median(merges),
        },
    )
    print(result.to_json() if options.json else result.line())
    return result


if __name__ == "__main__":
    main()
