"""Dense search against BM25 + BERT reranking of 100 documents: same process, same queries, quality of both beside it.

python -m benchmarks.latency [--dataset beir:FOLDER] [--queries 30] [--json]
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from statistics import median

import httpx
import numpy as np

from ance.cli.demo import DATASET
from ance.evaluation.metrics import measure
from benchmarks.harness import Result, machine
from benchmarks.pipeline import offline
from benchmarks.serving import ServedRun, served_run, service, use_one_thread

GOAL = 100.0
DEPTH = 100


def main(arguments: Sequence[str] | None = None) -> Result:
    """Measure, print, and return the result. The figures are seconds at the median."""
    parser = argparse.ArgumentParser(prog="benchmarks.latency", description=__doc__)
    parser.add_argument("--dataset", default=DATASET, help="as for `ance prepare`")
    parser.add_argument("--queries", type=int, default=30)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    options = parser.parse_args(arguments)
    offline()
    use_one_thread()
    with served_run(options.dataset) as run:
        run.publish(1)
        run.publish_reranker()
        with service(run, threads=options.threads) as (url, _):
            wait_for_reranking(url)
            queries = run.queries()[: options.queries]
            seconds: dict[str, list[float]] = {"dense": [], "rerank": []}
            found: dict[str, list[list[str]]] = {"dense": [], "rerank": []}
            with httpx.Client(timeout=120) as client:
                for query in [queries[0], *queries]:  # the first one warms up
                    for mode in seconds:
                        body = {"query": query, "mode": mode, "top_k": DEPTH, "candidates": DEPTH, "fields": []}
                        answer = client.post(f"{url}/v1/search", json=body).raise_for_status().json()
                        seconds[mode].append(answer["timings"]["total"])
                        found[mode].append([hit["id"] for hit in answer["results"][0]["hits"]])
        quality = {mode: metrics(run, rankings[1:]) for mode, rankings in found.items()}
    dense, rerank = seconds["dense"][1:], seconds["rerank"][1:]
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
        details={"unit": "s", "dataset": options.dataset, "documents": DEPTH, "quality": quality},
    )
    print(result.to_json() if options.json else result.line())
    return result


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
