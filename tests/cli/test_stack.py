"""The processes of `ance up`: ports, threads, and an environment that the services really read."""

import os
import socket
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from ance.cli import fleet
from ance.cli.fleet import Device, Fleet
from ance.cli.stack import StackOptions, free_port, free_ports, plan_stack, require_free_port
from ance.errors import AnceError
from ance.runtime.settings import ServiceSettings
from services.indexer.settings import IndexerSettings
from services.inferencer.settings import InferencerSettings
from services.search_api.settings import SearchSettings
from services.trainer.launch import LaunchSettings
from services.trainer.settings import TrainerSettings

SETTINGS: dict[str, type[ServiceSettings]] = {
    "trainer": TrainerSettings,
    "inferencer-0": InferencerSettings,
    "inferencer-1": InferencerSettings,
    "indexer": IndexerSettings,
    "search": SearchSettings,
}


@pytest.fixture
def options(tmp_path: Path) -> StackOptions:
    return StackOptions(f"file://{tmp_path}", "demo", tmp_path, Fleet(inferencers=2), search_port=free_port())


def environments(options: StackOptions) -> dict[str, Mapping[str, str]]:
    return {process.name: process.environment for process in plan_stack(options).processes if process.environment}


def test_redis_comes_first_and_stops_last(options: StackOptions) -> None:
    redis, *services = plan_stack(options).processes
    assert redis.name == "redis" and redis.stops_last
    assert [service.name for service in services] == list(SETTINGS)
    assert not any(service.stops_last for service in services)


def test_only_trainer_and_indexer_run_to_an_end(options: StackOptions) -> None:
    ends = {process.name for process in plan_stack(options).processes if process.runs_to_an_end}
    assert ends == {"trainer", "indexer"}


def test_every_variable_of_a_service_is_a_setting_that_it_has(options: StackOptions) -> None:
    for name, environment in environments(options).items():
        known = {f"ANCE_{field.upper()}" for field in SETTINGS[name].model_fields}
        assert {variable for variable in environment if variable.startswith("ANCE_")} <= known, name


def test_every_service_accepts_its_environment(options: StackOptions, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, environment in environments(options).items():
        with monkeypatch.context() as patch:
            for variable, value in environment.items():
                patch.setenv(variable, value)
            settings = SETTINGS[name]()  # type: ignore[call-arg]  # the environment gives the values
        assert settings.run == "demo" and str(settings.metrics_port) == environment["ANCE_METRICS_PORT"]


def test_ports_are_all_different(options: StackOptions) -> None:
    stack = plan_stack(options)
    redis = stack.redis_url.removesuffix("/0").rpartition(":")[2]
    feed = {
        environment["ANCE_FEED_PORT"]
        for environment in environments(options).values()
        if "ANCE_FEED_PORT" in environment
    }
    metrics = [url.removesuffix("/metrics").rpartition(":")[2] for url in stack.metrics.values()]
    ports = [redis, *feed, *metrics, str(options.search_port)]
    assert len(set(ports)) == len(ports) == 1 + 1 + len(SETTINGS) + 1


def test_all_consumers_listen_to_the_feed_of_the_trainer(options: StackOptions) -> None:
    by_name = environments(options)
    expected = f"127.0.0.1:{by_name['trainer']['ANCE_FEED_PORT']}"
    assert {by_name[name]["ANCE_FEED"] for name in ("inferencer-0", "inferencer-1", "indexer")} == {expected}


def test_strangers_on_the_network_do_not_know_the_token_of_the_feed(options: StackOptions) -> None:
    by_name, others = environments(options), environments(options)
    ends = ("trainer", "inferencer-0", "inferencer-1", "indexer")
    (token,) = {by_name[name]["ANCE_FEED_TOKEN"] for name in ends}
    assert len(token) > 30
    assert token != others["trainer"]["ANCE_FEED_TOKEN"]


def test_queue_settings_agree_between_indexer_and_inferencers(options: StackOptions) -> None:
    by_name = environments(options)
    assert by_name["indexer"]["ANCE_LEASE_SECONDS"] == by_name["inferencer-0"]["ANCE_LEASE_SECONDS"]


@pytest.mark.parametrize(
    ("cores", "inferencers", "trainer", "each"),
    [(1, 1, 1, 1), (2, 1, 1, 1), (8, 1, 4, 4), (8, 2, 4, 2), (16, 3, 10, 2), (2, 4, 1, 1)],
)
def test_trainer_and_inferencers_share_the_cores(
    options: StackOptions, monkeypatch: pytest.MonkeyPatch, cores: int, inferencers: int, trainer: int, each: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)))
    shared = StackOptions(options.store, "demo", options.folder, Fleet(inferencers), options.search_port)
    by_name = environments(shared)
    assert by_name["trainer"]["ANCE_THREADS"] == str(trainer)
    assert by_name["trainer"]["ANCE_WARMUP_THREADS"] == str(cores)
    assert {by_name[f"inferencer-{number}"]["ANCE_THREADS"] for number in range(inferencers)} == {str(each)}


def test_several_trainers_are_started_by_the_launcher_and_share_the_cores(
    options: StackOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    two = replace(options, fleet=Fleet(inferencers=1, trainers=2))
    trainer = next(process for process in plan_stack(two).processes if process.name == "trainer")
    assert trainer.command[-1] == "services.trainer.launch"
    told = trainer.environment
    known = {
        f"ANCE_{field.upper()}" for settings in (TrainerSettings, LaunchSettings) for field in settings.model_fields
    }
    assert {variable for variable in told if variable.startswith("ANCE_")} <= known
    assert (told["ANCE_PROCESSES"], told["ANCE_THREADS"], told["ANCE_WARMUP_THREADS"]) == ("2", "4", "4")
    assert told["ANCE_MASTER_PORT"] != told["ANCE_FEED_PORT"]


def test_trainers_and_inferencers_run_where_they_are_placed_and_search_on_cpus(
    options: StackOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANCE_DEVICE", "cuda")
    monkeypatch.setattr(fleet, "visible_gpus", lambda: ["0", "1", "2"])
    by_name = environments(replace(options, fleet=Fleet(2, 1, Device.CUDA)))
    gpus = {name: by_name[name].get(fleet.VISIBLE) for name in ("trainer", "inferencer-0", "inferencer-1", "search")}
    assert gpus == {"trainer": "0", "inferencer-0": "1", "inferencer-1": "2", "search": None}
    devices = {name: by_name[name]["ANCE_DEVICE"] for name in gpus}
    assert devices == {"trainer": "cuda", "inferencer-0": "cuda", "inferencer-1": "cuda", "search": "cpu"}


def test_an_existing_redis_is_used_instead_of_one_of_its_own(options: StackOptions) -> None:
    url = "redis://elsewhere:6379/3"
    other = StackOptions(options.store, "demo", options.folder, search_port=options.search_port, redis_url=url)
    assert "redis" not in {process.name for process in plan_stack(other).processes}
    assert {environment["ANCE_REDIS_URL"] for environment in environments(other).values()} == {url}


def test_a_taken_port_stops_the_plan_only_if_search_is_to_use_it(options: StackOptions) -> None:
    with socket.create_server(("127.0.0.1", options.search_port)):
        with pytest.raises(AnceError, match=f"port {options.search_port} .* is taken"):
            plan_stack(options)
        without = StackOptions(options.store, "demo", options.folder, search_port=options.search_port, search=False)
        assert "search" not in plan_stack(without).metrics


def test_a_port_is_taken_too_if_its_owner_listens_on_every_address() -> None:
    with socket.create_server(("0.0.0.0", 0)) as server, pytest.raises(AnceError, match="is taken"):
        require_free_port(server.getsockname()[1])


def test_free_ports_are_different_and_leave_one_out() -> None:
    ports = free_ports(50)
    assert len(set(ports)) == 50
    for port in ports:
        require_free_port(port)
    assert ports[0] not in free_ports(50, apart_from=ports[0])
