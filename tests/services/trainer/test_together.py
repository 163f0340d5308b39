"""Whole trainers of two processes: to the end, with one process killed, with one told to stop, and resumed by one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import numpy as np
import pytest
from redis import Redis

from ance.data.qrels import Qrels
from ance.runtime.artifacts import read_manifest
from ance.runtime.health import Health
from ance.runtime.layout import manifest_of
from ance.runtime.metrics import TrainerMetrics
from ance.runtime.process import TERMINATED, run_service
from ance.runtime.redis.client import connect
from ance.runtime.redis.local_server import LocalRedis
from ance.runtime.run import find_run
from ance.runtime.shutdown import Shutdown
from services.trainer import wiring
from services.trainer.ranks import Place
from services.trainer.settings import TrainerSettings
from tests.ranks import ended, free_port, start, together
from tests.services.service_run import ServiceRun, background, wait_until
from tests.services.trainer.process import TrainerProcess, series, weights
from tests.services.trainer.test_adore import refresh
from tests.services.trainer.test_loop import newest, stage
from tests.system.tiny import TRAIN

GAP = 3
STEPS = 12
PAUSES = (4, 8)
"""Steps at which negatives that are `GAP` old have training wait for newer ones."""
TRAINING = {
    "optimizer": "adamw",
    "dropout": 0.0,
    "checkpoint_steps": 3,
    "max_async_gap": GAP,
    "warmup": {**stage(0, "random")},
    "ance": {**stage(STEPS, "ance"), "loss": "in_batch"},
}


def create(prepared: Path, name: str, cache: Path, training: dict[str, Any]) -> ServiceRun:
    """A run with its configuration in the store, where a process looks for it."""
    run = ServiceRun.create(prepared, name, cache=cache, training=training)
    run.store.write(run.layout.run_yaml, run.config.model_dump_json().encode())  # JSON is YAML
    return run


def variables(run: ServiceRun, redis: LocalRedis, metrics_port: int = 0) -> dict[str, str]:
    return {
        "ANCE_STORE": run.store.url,
        "ANCE_RUN": run.config.run,
        "ANCE_REDIS_URL": redis.url,
        "ANCE_CACHE_DIR": str(run.cache),
        "ANCE_METRICS_PORT": str(metrics_port),
        "ANCE_FEED_PORT": "0",
        "ANCE_LEADER_SECONDS": "5",
        "ANCE_NEGATIVES_POLL_SECONDS": "0.05",
        "ANCE_THREADS": "1",
    }


def trainer() -> None:
    run_service("trainer", wiring.main)


def waits_at(port: int, step: int) -> bool:
    """Whether training has come to `step` and waits there, as the metrics of rank 0 say."""
    try:
        with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as response:
            lines = response.read().decode().splitlines()
    except OSError:
        return False
    values = {line.split("{")[0]: float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith("ance_trainer_")}
    return values.get("ance_trainer_waiting") == 1 and values.get("ance_trainer_step") == step


@dataclass
class Lives:
    """What two lives of two processes have left behind, before the third."""

    run: ServiceRun
    codes: list[list[int | None]] = field(default_factory=list)
    saved: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    def live(self, redis: LocalRedis, until: int, number: int) -> None:
        """Train until it waits at step `until`, and send rank 1 the signal."""
        port = free_port()
        processes: list[BaseProcess] = start(trainer, (), **variables(self.run, redis, port))
        try:
            wait_until(lambda: waits_at(port, until), seconds=40)
            began = time.monotonic()
            pid = processes[1].pid
            assert pid is not None
            os.kill(pid, number)
        finally:
            self.codes.append(ended(processes))
        self.seconds.append(time.monotonic() - began)
        self.saved.append(newest(self.run).step)


@pytest.fixture(scope="module")
def lives(prepared: Path, tmp_path_factory: pytest.TempPathFactory, redis_server: LocalRedis) -> Lives:
    run = create(prepared, "lives", tmp_path_factory.mktemp("lives"), TRAINING)
    lives = Lives(run)
    run.publish_negatives(0)
    lives.live(redis_server, PAUSES[0], signal.SIGKILL)
    run.publish_negatives(PAUSES[0])
    lives.live(redis_server, PAUSES[1], signal.SIGTERM)
    run.publish_negatives(PAUSES[1])
    return lives


def test_when_rank_1_is_killed_rank_0_notices_saves_what_they_had_and_is_interrupted(lives: Lives) -> None:
    assert lives.codes[0] == [TERMINATED, -signal.SIGKILL]
    assert lives.seconds[0] < 15
    assert lives.saved[0] == PAUSES[0], "the step after the checkpoint of step 3 is not lost"


def test_sigterm_for_rank_1_alone_stops_both_before_the_same_step_and_rank_0_saves(lives: Lives) -> None:
    assert lives.codes[1] == [TERMINATED, TERMINATED]
    assert lives.saved[1] == PAUSES[1]


def test_one_process_finishes_what_two_began_as_if_it_had_done_it_all(
    lives: Lives, prepared: Path, tmp_path: Path, redis_server: LocalRedis, shutdown: Shutdown
) -> None:
    alone = create(prepared, "alone", tmp_path, TRAINING)
    alone.publish_negatives(0)
    with connect(redis_server.url) as client:
        TrainerProcess(lives.run, client, shutdown).run()
        TrainerProcess(alone, client, shutdown).run(
            after_step=lambda step: alone.publish_negatives(step) and None if step in PAUSES else None
        )
    assert newest(lives.run).final
    found, expected = series(lives.run), series(alone)
    assert [line["step"] for line in found] == list(range(1, STEPS + 1))
    assert [line["async_gap"] for line in found] == [line["async_gap"] for line in expected]
    assert [line["loss"] for line in found] == pytest.approx([line["loss"] for line in expected], rel=1e-3)


@pytest.fixture
def client(redis_server: LocalRedis) -> Iterator[Redis]:
    """Not emptied: the leases of `lives` are in it."""
    with connect(redis_server.url) as redis:
        yield redis


@pytest.mark.parametrize(
    "launcher",
    [["services.trainer.launch"], ["torch.distributed.run", "--nproc-per-node=2", "-m", "services.trainer"]],
    ids=["ours", "torchrun"],
)
def test_a_launcher_trains_a_run_with_two_processes_as_one_would(
    prepared: Path, tmp_path: Path, redis_server: LocalRedis, client: Redis, shutdown: Shutdown, launcher: list[str]
) -> None:
    plan = {**TRAINING, "warmup": stage(2, "bm25"), "ance": {**stage(4, "random"), "loss": "in_batch"}}
    names = (f"{number}-by-{launcher[0].replace('.', '-')}" for number in ("two", "one"))
    two, one = (create(prepared, name, tmp_path, plan) for name in names)
    environ = {**os.environ, **variables(two, redis_server), "ANCE_PROCESSES": "2", "ANCE_THREADS": "2"}
    ports = {"ANCE_MASTER_PORT": str(free_port()), "PET_MASTER_PORT": str(free_port())}  # of either launcher
    command = [sys.executable, "-m", *launcher]
    finished = subprocess.run(command, env={**environ, **ports}, capture_output=True, text=True, timeout=110)
    assert finished.returncode == 0, finished.stderr
    TrainerProcess(one, client, shutdown).run()
    assert newest(two).final and newest(two).step == 6
    assert [line["step"] for line in series(two)] == [1, 2, 3, 4, 5, 6]
    losses: list[list[float]] = [[line["loss"] for line in series(run)] for run in (two, one)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)
    for (name, found), expected in zip(weights(two, 6).items(), weights(one, 6).values(), strict=True):
        assert found.allclose(expected, atol=1e-3), name
    assert read_manifest(two.store, manifest_of(two.layout.bm25_negatives)).stats == {"source": "bm25"}


def masked(values: dict[str, Any]) -> float | None:
    """Train as one of the processes of a run, all of whose queries have the same positive: what is counted by then."""
    rows = np.arange(TRAIN)
    alike = Qrels.build(TRAIN, rows, np.zeros_like(rows), np.ones(TRAIN, np.int32))
    place, metrics = Place(), TrainerMetrics()
    settings = TrainerSettings.model_validate(values)
    with Shutdown(signals=()) as shutdown, pytest.MonkeyPatch.context() as patch:
        opened = find_run(settings, shutdown)
        dataset = opened.open_dataset()
        patch.setattr(dataset, "qrels", lambda split: alike)
        process = wiring.Process(place, opened, dataset, metrics, Health(), shutdown)
        process.lead() if place.leads else process.follow()
    return metrics.registry.get_sample_value("ance_trainer_negatives_masked_total")


@pytest.mark.parametrize(("shared", "others"), [(True, 7), (False, 3)])
def test_known_positives_are_counted_where_they_are_masked_in_the_whole_batch_or_in_its_halves(
    prepared: Path, tmp_path: Path, redis_server: LocalRedis, shared: bool, others: int
) -> None:
    plan = {**TRAINING, "ance": {**stage(2, "random"), "loss": "in_batch"}, "cross_device_negatives": shared}
    run = create(prepared, f"masked-{others}", tmp_path, plan)
    values = run.settings(redis_url=redis_server.url, feed_port=0)
    assert together(masked, values) == [2 * 8 * others] * 2


def test_two_processes_learn_queries_against_one_index_as_one_would(
    prepared: Path, tmp_path: Path, redis_server: LocalRedis, client: Redis, shutdown: Shutdown
) -> None:
    adore = {**stage(6, "adore"), "loss": "in_batch"}
    plan = {**TRAINING, "max_async_gap": 0, "warmup": stage(0, "random"), "ance": adore}
    two, one = (create(prepared, f"adore-{name}", tmp_path, plan) for name in ("two", "one"))
    processes = start(trainer, (), **variables(two, redis_server))
    try:
        refresh(two)
    finally:
        codes = ended(processes)
    assert codes == [0, 0]
    with background(lambda: refresh(one), stop=lambda: None):
        TrainerProcess(one, client, shutdown).run()
    losses: list[list[float]] = [[line["loss"] for line in series(run)] for run in (two, one)]
    assert len(losses[0]) == 6 and losses[0] == pytest.approx(losses[1], rel=1e-3)


@pytest.mark.parametrize(
    ("place", "speaks"),
    [({"rank": 0, "local_rank": 0}, True), ({"rank": 1, "local_rank": 1}, None), ({"rank": 2, "local_rank": 0}, False)],
    ids=["rank 0", "another process of its pod", "the first process of another pod"],
)
def test_one_process_of_a_pod_answers_probes_and_only_rank_0_speaks_for_the_run(
    place: dict[str, int], speaks: bool | None, tmp_path: Path
) -> None:
    settings = TrainerSettings.model_validate(
        {"store": "file:///nowhere", "run": "demo", "cache_dir": tmp_path, "metrics_port": 0}
    )
    metrics, health = TrainerMetrics(), Health()
    metrics.step.set(7)
    with wiring.watched(Place(world_size=4, **place), settings, metrics, health) as server:
        assert (server is None) == (speaks is None)
        if server is not None:
            text = read(server, "/metrics")
            assert ("ance_trainer_step" in text) == speaks
            health.beat()
            assert read(server, "/startupz") == "ok"


def read(server: Any, path: str) -> str:
    with urlopen(f"http://127.0.0.1:{server.port}{path}", timeout=5) as response:
        body: bytes = response.read()
        return body.decode().strip()
