"""Queries a second against a plain service around sentence_transformers.encode and Faiss, at equal or better p99.

Same machine, model, index, documents, threads and clients; both services are processes of one uvicorn worker.

python -m benchmarks.throughput [--dataset beir:FOLDER] [--clients 16] [--seconds 10] [--json]
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from statistics import median

from ance.cli.stack import LOCAL, free_port
from ance.runtime.artifacts import fetch
from benchmarks.harness import Result, machine
from benchmarks.options import parser, with_dataset, with_threads
from benchmarks.runs import offline
from benchmarks.served_run import ServedRun, published_run
from benchmarks.serving import Load, closed_loop, service, started, use_one_thread, wait_for

GOAL = 3.0


def main(arguments: Sequence[str] | None = None) -> Result:
    """Measure, print, and return the result. The figures are queries a second."""
    command_line = with_threads(with_dataset(parser("throughput", __doc__)), threads=1)
    command_line.add_argument("--clients", type=int, default=16)
    command_line.add_argument("--seconds", type=float, default=10.0, help="of one run")
    command_line.add_argument("--pairs", type=int, default=3)
    options = command_line.parse_args(arguments)
    offline()
    use_one_thread()
    loads: dict[str, list[Load]] = {"ours": [], "theirs": []}
    with published_run(options.dataset) as run:
        bodies: list[dict[str, object]] = [{"query": query, "top_k": 10} for query in run.queries()]
        with (
            service(run, threads=options.threads, ANCE_BM25="false") as (ours, _),
            plain_service(run, options.threads) as theirs,
        ):
            urls = {"ours": f"{ours}/v1/search", "theirs": f"{theirs}/v1/search"}
            for url in urls.values():
                closed_loop(url, bodies, clients=options.clients, seconds=2.0)
            for _ in range(options.pairs):
                for side, url in urls.items():
                    loads[side].append(closed_loop(url, bodies, clients=options.clients, seconds=options.seconds))
    rates = {side: [load.per_second for load in of_side] for side, of_side in loads.items()}
    p99 = {side: median(load.quantile(0.99) for load in of_side) for side, of_side in loads.items()}
    failures = sum(len(load.failures) for of_side in loads.values() for load in of_side)
    ratios = [one / other for one, other in zip(rates["ours"], rates["theirs"], strict=True)]
    ratio = median(rates["ours"]) / median(rates["theirs"])
    result = Result(
        name="throughput",
        peer="FastAPI + sentence_transformers.encode + Faiss",
        ours=median(rates["ours"]),
        theirs=median(rates["theirs"]),
        ratio=ratio,
        goal=GOAL,
        holds=ratio >= GOAL and p99["ours"] <= p99["theirs"] and not failures,
        n=options.pairs,
        spread=(min(ratios), max(ratios)),
        machine=machine(),
        details={
            "unit": "queries/s",
            "dataset": options.dataset,
            "clients": options.clients,
            "threads": options.threads,
            "p99_seconds": p99,
            "failures": failures,
        },
    )
    print(result.to_json() if options.json else result.line())
    return result


@contextmanager
def plain_service(run: ServedRun, threads: int) -> Iterator[str]:
    """The peer as a process, with the same files."""
    port = free_port()
    folders = [
        fetch(run.store, run.layout.checkpoint(1), run.folder),
        fetch(run.store, run.layout.index(1), run.folder),
        run.dataset.folder,
    ]
    command = [sys.executable, "-m", "benchmarks.plain_service", *map(str, folders), str(port)]
    with started(command, {"OMP_NUM_THREADS": str(threads), "HF_HUB_OFFLINE": "1"}) as process:
        url = f"http://{LOCAL}:{port}"
        wait_for(f"{url}/readyz", process)
        yield url


if __name__ == "__main__":
    main()
