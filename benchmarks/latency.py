"""Dense search against BM25 + BERT reranking of 100 documents: same process, same queries, quality of both beside it.

Of a trained run with a trained reranker (`ance demo`, then `ance reranker train`). Without one, of a start model with
an untrained reranker, which is as slow as a trained one but finds nothing: then the quality is left out.

python -m benchmarks.latency [--store URL --run ID] [--dataset beir:FOLDER] [--queries 30] [--json]
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from statistics import median

import httpx
import numpy as np

from ance.evaluation.metrics import measure
from benchmarks.harness import Result, machine
from benchmarks.options import parser, with_dataset, with_threads
from benchmarks.runs import offline
from benchmarks.served_run import ServedRun, published_run, trained_run
from benchmarks.serving import service, use_one_thread

GOAL = 100.0
DEPTH = 100


def main(arguments: Sequence[str] | None = None) -> Result:
    """Measure, print, and return the result. The figures are seconds at the median."""
    command_line = with_threads(with_dataset(parser("latency", __doc__)), threads=1)
    command_line.add_argument("--store", help="store of a trained run")
    command_line.add_argument("--run", default="demo", help="id of that run")
    command_line.add_argument("--queries", type=int, default=30)
    options = command_line.parse_args(arguments)
    offline()
    use_one_thread()
    timings: dict[str, list[dict[str, float]]] = {"dense": [], "rerank": []}
    found: dict[str, list[list[str]]] = {"dense": [], "rerank": []}
    with run_to_serve(options.store, options.run, options.dataset) as run:
        with service(run, threads=options.threads) as (url, _), httpx.Client(timeout=120) as client:
            wait_for_reranking(url)
            queries = run.queries()[: options.queries]
            for query in [queries[0], *queries]:  # the first one warms up
                for mode in timings:
                    body = {"query": query, "mode": mode, "top_k": DEPTH, "candidates": DEPTH, "fields": []}
                    answer = client.post(f"{url}/v1/search", json=body).raise_for_status().json()
                    timings[mode].append(answer["timings"])
                    found[mode].append([hit["id"] for hit in answer["results"][0]["hits"]])
        quality = {mode: metrics(run, rankings[1:]) for mode, rankings in found.items()} if options.store else {}
        source = run.config.dataset if options.store else options.dataset
    dense, rerank = ([parts["total"] for parts in timings[mode][1:]] for mode in ("dense", "rerank"))
    ratios = [theirs / ours for ours, theirs in zip(dense, rerank, strict=True)]
    result = Result(
        name="latency",
        peer="BM25 + BERT reranking in the same process",
        ours=median(dense),
        theirs=median(rerank),
        ratio=median(rerank) / median(dense),
        goal=GOAL,
        holds=median(rerank) / median(dense) >= GOAL,
        n=len(dense),
        spread=(min(ratios), max(ratios)),
        machine=machine(),
        details={
            "unit": "s",
            "dataset": source,
            "documents": DEPTH,
            "stages": {mode: stages(parts[1:]) for mode, parts in timings.items()},
            "quality": quality,
        },
    )
    print(result.to_json() if options.json else result.line())
    for mode, values in {} if options.json else result.details["stages"].items():
        print(f"  {mode:6}", *(f"{stage} {1e3 * value:.2f} ms" for stage, value in values.items()))
    for mode, values in {} if options.json else quality.items():
        print(f"  {mode:6}", *(f"{name} {value:.4f}" for name, value in values.items()))
    return result


def stages(timings: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Seconds of each stage at the median, without those that a mode does not have."""
    return {
        stage: median(parts[stage] for parts in timings)
        for stage in timings[0]
        if any(parts[stage] for parts in timings)
    }


@contextmanager
def run_to_serve(store: str | None, run: str, dataset: str) -> Iterator[ServedRun]:
    """The trained run, or one of the start model."""
    if store is not None:
        with trained_run(store, run) as trained:
            yield trained
    else:
        with published_run(dataset) as untrained:
            untrained.publish_reranker()
            yield untrained


def metrics(run: ServedRun, rankings: list[list[str]]) -> dict[str, float]:
    """Of the first test queries."""
    rows = np.full((len(rankings), DEPTH), -1, np.int64)
    for line, ranking in zip(rows, rankings, strict=True):
        line[: len(ranking)] = run.dataset.passages.rows_of(ranking)
    return measure(run.dataset.qrels("test").head(len(rankings)), rows, ("RR@10", "nDCG@10", "R@100"))


def wait_for_reranking(url: str) -> None:
    """Return once BM25 is built and the cross-encoder loaded."""
    for _ in range(3000):
        if httpx.get(
            f"{url}/v1/search", params={"q": "warm", "mode": "rerank", "candidates": 1}, timeout=60
        ).is_success:
            return
    raise TimeoutError("no reranking")


if __name__ == "__main__":
    main()
