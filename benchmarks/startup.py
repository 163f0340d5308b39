"""From the start of a process to its readiness, of every service, against importing what such a service needs.

Of a run that is prepared, with Redis on this machine and models in the page cache. The peer is a process that imports
the libraries of its task and loads the same model: PyTorch and the encoder for trainer and inferencer, besides these
the web framework for search, Faiss for the indexer.

python -m benchmarks.startup [--dataset beir:FOLDER] [--pairs 3] [--json]
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from statistics import median

from ance.cli.stack import LOCAL, free_port
from ance.runtime.artifacts import fetch
from ance.runtime.redis.local_server import LocalRedis
from benchmarks.harness import Result, machine
from benchmarks.options import parser, with_dataset
from benchmarks.runs import offline
from benchmarks.served_run import PublishedRun, published_run
from benchmarks.serving import started, wait_for

GOAL = 0.5
LOAD = "from sentence_transformers import SentenceTransformer; SentenceTransformer({model!r}, device='cpu')"
PEERS = {
    "trainer": f"import grpc, redis, torch; {LOAD}",
    "inferencer": f"import grpc, redis, torch; {LOAD}",
    "indexer": "import faiss, grpc, redis, numpy",
    "search_api": f"import faiss, fastapi, uvicorn, torch; {LOAD}",
}


def main(arguments: Sequence[str] | None = None) -> Result:
    """Measure, print, and return the result. The figures are seconds of the service that compares worst."""
    command_line = with_dataset(parser("startup", __doc__))
    command_line.add_argument("--pairs", type=int, default=3)
    options = command_line.parse_args(arguments)
    offline()
    seconds: dict[str, dict[str, list[float]]] = {name: {"ours": [], "theirs": []} for name in PEERS}
    with published_run(options.dataset) as run, LocalRedis() as redis:
        model = str(fetch(run.store, run.layout.checkpoint(1), run.folder))
        for pair in range(-1, options.pairs):  # the first one fills the page cache
            for service, code in PEERS.items():
                taken = {"ours": start(service, run, redis.url), "theirs": run_to_its_end(code.format(model=model))}
                if pair >= 0:
                    for side, value in taken.items():
                        seconds[service][side].append(value)
    result = summarise(seconds, options.pairs)
    print(result.to_json() if options.json else result.line())
    if not options.json:
        for service, both in result.details["services"].items():
            print(f"  {service}: ready after {both['ours']:.2f} s, peer {both['theirs']:.2f} s")
    return result


def start(service: str, run: PublishedRun, redis_url: str) -> float:
    """Seconds until /readyz of a service says yes."""
    port = free_port()
    environment = {
        "ANCE_STORE": run.store.url,
        "ANCE_RUN": run.config.run,
        "ANCE_REDIS_URL": redis_url,
        "ANCE_CACHE_DIR": str(run.folder / "cache"),
        "ANCE_HOST": LOCAL,
        "ANCE_PORT": str(port if service == "search_api" else free_port()),
        "ANCE_METRICS_PORT": str(free_port() if service == "search_api" else port),
        "ANCE_FEED_PORT": str(free_port()),
        "ANCE_THREADS": "1",
        "OMP_NUM_THREADS": "1",
        "HF_HUB_OFFLINE": "1",
    }
    with ExitStack() as processes:
        began = time.perf_counter()
        process = processes.enter_context(started([sys.executable, "-m", f"services.{service}"], environment))
        wait_for(f"http://{LOCAL}:{port}/readyz", process)
        return time.perf_counter() - began


def run_to_its_end(code: str) -> float:
    """Seconds of a fresh interpreter."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    return time.perf_counter() - began


def summarise(seconds: dict[str, dict[str, list[float]]], n: int) -> Result:
    """The claim: no service takes longer than its libraries by much."""
    medians = {name: {side: median(values) for side, values in both.items()} for name, both in seconds.items()}
    worst = min(medians, key=lambda name: medians[name]["theirs"] / medians[name]["ours"])
    ratios = [theirs / ours for ours, theirs in zip(*seconds[worst].values(), strict=True)]
    ratio = medians[worst]["theirs"] / medians[worst]["ours"]
    return Result(
        name="startup",
        peer=f"importing and loading what {worst} needs",
        ours=medians[worst]["ours"],
        theirs=medians[worst]["theirs"],
        ratio=ratio,
        goal=GOAL,
        holds=ratio >= GOAL,
        n=n,
        spread=(min(ratios), max(ratios)),
        machine=machine(),
        details={"unit": "s", "services": medians},
    )


if __name__ == "__main__":
    main()
