"""Hot swaps under constant load: failures, answers that mix versions, p99 while swapping over p99 between swaps.

Version S has the vectors of the start model times S, so that the score of a hit tells which version it is of, and
every answer can be checked against a recomputation for its version.

python -m benchmarks.swap [--dataset beir:FOLDER] [--clients 16] [--seconds 60] [--versions 5] [--json]
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import httpx
import numpy as np

from ance.model.encoding import TextEncoder
from ance.retrieval.index import INDEX_FILE
from benchmarks.harness import Result, machine
from benchmarks.options import parser, with_dataset, with_threads
from benchmarks.processes import anonymous_bytes
from benchmarks.runs import offline
from benchmarks.served_run import PublishedRun, published_run
from benchmarks.serving import Answer, Load, closed_loop, service, use_one_thread

GOAL = 1.5
TOP_K = 10
TOLERANCE = 5e-3
"""Of a score. The run encodes in bfloat16, whose rounding depends on the other queries of a batch; versions differ by
a sixth of a score at least."""
WINDOW_SECONDS = 1.0
"""After a version is active, for which requests still count as during its swap."""


def main(arguments: Sequence[str] | None = None) -> Result:
    """Measure, print, and return the result. The figures are seconds at the 99th percentile."""
    command_line = with_threads(with_dataset(parser("swap", __doc__)), threads=1)
    command_line.add_argument("--clients", type=int, default=16)
    command_line.add_argument("--seconds", type=float, default=60.0)
    command_line.add_argument("--versions", type=int, default=5)
    options = command_line.parse_args(arguments)
    offline()
    use_one_thread()
    with published_run(options.dataset) as run:
        queries = run.queries()[:64]
        check = checker(run, queries)
        bodies: list[dict[str, object]] = [{"query": query, "top_k": TOP_K, "fields": []} for query in queries]
        with service(run, threads=options.threads, ANCE_BM25="false") as (url, process):
            closed_loop(f"{url}/v1/search", bodies, clients=options.clients, seconds=2.0)
            swaps = Swaps(run, url, process, options.versions, options.seconds)
            swaps.start()
            load = closed_loop(
                f"{url}/v1/search", bodies, clients=options.clients, seconds=options.seconds, check=check
            )
            swaps.join()
        index_bytes = run.store.size(f"{run.layout.index(1)}/{INDEX_FILE}")
    result = summarise(load, swaps, index_bytes, options.versions)
    print(result.to_json() if options.json else result.line())
    return result


class Swaps(threading.Thread):
    """Announces versions at even distances, and remembers when each swap began and ended.

    They are published before: whoever makes an index does not share the processor of a search service.
    """

    def __init__(self, run: PublishedRun, url: str, process: int, versions: int, seconds: float) -> None:
        super().__init__()
        self._run, self._url, self._process, self._pause = run, url, process, seconds / (versions + 1)
        self._indexes = [run.publish(step, scale=float(step)) for step in range(2, versions + 2)]
        self.windows: list[tuple[float, float]] = []
        self.memory = [anonymous_bytes(process)]
        """Of the service, before the first swap and a while after each."""

    def run(self) -> None:
        """Announce and wait for the swap, one version after the other."""
        began = time.perf_counter()
        for number, index in enumerate(self._indexes, start=1):
            time.sleep(max(0.0, began + number * self._pause - time.perf_counter()))
            announced = time.perf_counter() - began
            self._run.announce(index)
            while httpx.get(f"{self._url}/version").json()["index"] != index.step:
                time.sleep(0.05)
            self.windows.append((announced, time.perf_counter() - began + WINDOW_SECONDS))
            time.sleep(WINDOW_SECONDS)
            self.memory.append(anonymous_bytes(self._process))


def checker(run: PublishedRun, queries: list[str]) -> Callable[[dict[str, object], Answer], str]:
    """Holds an answer against exact search with its version's vectors."""
    encoder = TextEncoder(run.model, run.dataset.special)
    vectors = encoder.encode_texts(queries, run.config.model.max_query_tokens)
    scores = vectors @ run.vectors.T  # (queries, passages), of version 1
    best = {query: np.sort(of_query)[::-1][:TOP_K] for query, of_query in zip(queries, scores, strict=True)}
    rows = {query: dict(enumerate(of_query)) for query, of_query in zip(queries, scores, strict=True)}

    def check(body: dict[str, object], answered: Answer) -> str:
        answer: dict[str, Any] = answered.json()
        query, version = str(body["query"]), answer["index"]["version"]
        hits = answer["results"][0]["hits"]
        given = np.array([hit["score"] for hit in hits])
        own = [rows[query][int(row)] for row in run.dataset.passages.rows_of([hit["id"] for hit in hits])]
        right = np.allclose(given, best[query] * version, rtol=TOLERANCE, atol=TOLERANCE)
        mixed = not np.allclose(given, np.array(own) * version, rtol=TOLERANCE, atol=TOLERANCE)
        return "mixes versions" if mixed or not right else ""

    return check


def summarise(load: Load, swaps: Swaps, index_bytes: int, versions: int) -> Result:
    """All that must hold, in one result."""
    # From the first swap on the version before stays loaded: memory may rise then, and never again.
    grown = swaps.memory[-1] - swaps.memory[1]

    def swapping(at: float) -> bool:
        return any(began <= at <= ended for began, ended in swaps.windows)

    during, steady = load.quantile(0.99, swapping), load.quantile(0.99, lambda at: not swapping(at))
    ratio = steady / during
    return Result(
        name="swap",
        peer="the same service between swaps",
        ours=during,
        theirs=steady,
        ratio=ratio,
        goal=round(1 / GOAL, 3),
        holds=during <= GOAL * steady
        and not load.failures
        and len(swaps.windows) == versions
        and grown < index_bytes * (versions - 1),
        n=len(load.seconds),
        spread=(ratio, ratio),
        machine=machine(),
        details={
            "unit": "s",
            "failures": len(load.failures),
            "kinds": sorted(set(load.failures)),
            "versions": len(swaps.windows),
            "swap_seconds": [round(ended - began - WINDOW_SECONDS, 2) for began, ended in swaps.windows],
            "queries_per_second": load.per_second,
            "anonymous_bytes": swaps.memory,
            "index_bytes": index_bytes,
        },
    )


if __name__ == "__main__":
    main()
