"""The system on one machine: which processes, with which environment."""

import errno
import os
import secrets
import socket
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from ance.cli.fleet import Device, Fleet, place
from ance.cli.supervisor import GRACE_SECONDS, ProcessSpec, python_service
from ance.errors import AnceError
from ance.runtime.redis.local_server import server_command

LOCAL = "127.0.0.1"
SEARCH = "search"


@dataclass(frozen=True, slots=True)
class StackOptions:
    """What `ance up` lets a user choose."""

    store: str
    run: str
    folder: Path
    """For logs and caches; beside a local store, so that publishing is a link and not a copy."""
    fleet: Fleet = field(default_factory=Fleet)
    search_port: int = 8000
    redis_url: str | None = None
    """An existing Redis; None starts one."""
    search: bool = True


@dataclass(frozen=True, slots=True)
class Stack:
    """Processes to start, in this order, and where their metrics are."""

    processes: tuple[ProcessSpec, ...]
    metrics: dict[str, str]
    search_url: str
    redis_url: str


def plan_stack(options: StackOptions) -> Stack:
    """Lay out ports, threads, GPUs and environments.

    Raises:
        AnceError: the search port is taken, or there are not enough GPUs.
    """
    if options.search:
        require_free_port(options.search_port)
    fleet, on = options.fleet, place(options.fleet)
    redis_port, feed_port, meeting_port, *metrics_ports = free_ports(
        6 + fleet.inferencers, apart_from=options.search_port
    )
    redis_url = options.redis_url or f"redis://{LOCAL}:{redis_port}/0"
    common = {
        "ANCE_STORE": options.store,
        "ANCE_RUN": options.run,
        "ANCE_REDIS_URL": redis_url,
        "ANCE_LOG_FORMAT": "json",
        "ANCE_CACHE_DIR": str(options.folder / "cache"),
        "HF_HUB_OFFLINE": os.environ.get("HF_HUB_OFFLINE", "0"),
        # Spinning OpenMP threads would take the cores from the neighbour that has work.
        "OMP_WAIT_POLICY": "PASSIVE",
    }
    token = {"ANCE_FEED_TOKEN": secrets.token_urlsafe()}  # the feed listens on every address
    feed = {**token, "ANCE_FEED": f"{LOCAL}:{feed_port}", "ANCE_POLL_SECONDS": "5"}
    cores = len(os.sched_getaffinity(0))
    inferencer_threads = max(1, cores // 2 // fleet.inferencers)
    trainer_threads = max(1, cores - inferencer_threads * fleet.inferencers)

    processes: list[ProcessSpec] = []
    metrics: dict[str, str] = {}

    def service(name: str, module: str, threads: int, own: Mapping[str, str], *, ends: bool = False) -> None:
        port = metrics_ports.pop()
        metrics[name] = f"http://{LOCAL}:{port}/metrics"
        environment = {**common, "ANCE_METRICS_PORT": str(port), "ANCE_THREADS": str(threads), **own}
        processes.append(python_service(name, module, environment, runs_to_an_end=ends))

    if options.redis_url is None:
        processes.append(ProcessSpec("redis", server_command(redis_port, options.folder), stops_last=True))
    trainer = {
        **token,
        **on.trainers,
        "ANCE_FEED_PORT": str(feed_port),
        "ANCE_WARMUP_THREADS": str(max(1, cores // fleet.trainers)),
        "ANCE_NEGATIVES_POLL_SECONDS": "0.5",
        "ANCE_LEADER_SECONDS": "6",
        "ANCE_GRACE_SECONDS": f"{GRACE_SECONDS:g}",
    }
    module = "services.trainer"
    if fleet.trainers > 1:
        module = "services.trainer.launch"
        trainer |= {"ANCE_PROCESSES": str(fleet.trainers), "ANCE_MASTER_PORT": str(meeting_port)}
    inferencer = {**feed, "ANCE_LEASE_SECONDS": "15"}
    indexer = {**inferencer, "ANCE_LEADER_SECONDS": "6", "ANCE_RECONCILE_SECONDS": "5"}
    service("trainer", module, trainer_threads, trainer, ends=True)
    for number, placed in enumerate(on.inferencers):
        service(f"inferencer-{number}", "services.inferencer", inferencer_threads, {**inferencer, **placed})
    service("indexer", "services.indexer", 1, indexer, ends=True)
    if options.search:
        search = {
            "ANCE_HOST": LOCAL,
            "ANCE_PORT": str(options.search_port),
            "ANCE_POLL_SECONDS": "1",
            "ANCE_DEVICE": Device.CPU.value,  # a query at a time: GPUs are for those who have batches
        }
        service(SEARCH, "services.search_api", 1, search)
    return Stack(tuple(processes), metrics, f"http://{LOCAL}:{options.search_port}", redis_url)


def free_port() -> int:
    """A port of the loopback interface that nobody listens on now."""
    return free_ports(1)[0]


def free_ports(count: int, *, apart_from: int = 0) -> list[int]:
    """Different ports of the loopback interface that nobody listens on now, without `apart_from`."""
    with ExitStack() as held:  # all at once, or the same port could come twice
        probes = [held.enter_context(socket.socket()) for _ in range(count + 1)]
        for probe in probes:
            probe.bind((LOCAL, 0))
        ports = [int(probe.getsockname()[1]) for probe in probes]
    return [port for port in ports if port != apart_from][:count]


def require_free_port(port: int) -> None:
    """Raise an AnceError that says what to do when a port is taken."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOCAL, port))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise AnceError(f"port {port} on {LOCAL}: {error.strerror}; choose another with --port") from error
            raise AnceError(
                f"port {port} on {LOCAL} is taken by another program: stop it or choose another with --port"
            ) from error
