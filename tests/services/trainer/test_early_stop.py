"""A trainer that ends early because the dev split shows no gain."""

from __future__ import annotations

import json
import logging

import pytest
from redis import Redis

from ance.runtime.contracts import ArtifactRef
from ance.runtime.health import Health
from ance.runtime.metrics import TrainerMetrics
from ance.runtime.redis.local_server import LocalRedis
from ance.runtime.shutdown import Shutdown
from services.trainer import wiring
from services.trainer.early_stop import out_of_patience
from services.trainer.loop import TrainingInterrupted
from services.trainer.ranks import Place
from services.trainer.settings import TrainerSettings
from tests.services.conftest import NewRun
from tests.services.service_run import ServiceRun, wait_until
from tests.services.trainer.process import TrainerProcess, series

ANCE = {"steps": 40, "learning_rate": 1e-3, "negatives": "ance"}
TRAINING = {
    "checkpoint_steps": 4,
    "max_async_gap": 0,
    "warmup": {"steps": 0, "learning_rate": 1e-3, "negatives": "random"},
    "ance": ANCE,
    "early_stopping": {"patience": 2, "min_delta": 0.01},
}


def measured(run: ServiceRun, step: int, value: float) -> None:
    """As an indexer leaves a refresh behind: its record, then the index."""
    run.store.write(run.layout.refresh_record(step), json.dumps({"step": step, "dev": {"RR@10": value}}).encode())
    ref = ArtifactRef(step=step, manifest_uri=f"{step}", manifest_sha256=f"{step:064x}", created_at=0.0)
    run.store.move_pointer(run.layout.pointer("index"), ref)


def checkpoint(run: ServiceRun) -> ArtifactRef:
    ref = run.store.read_pointer(run.layout.pointer("checkpoint"))
    assert ref is not None
    return ref


def test_patience_runs_out_with_so_many_versions_that_are_no_better(
    new_run: NewRun, caplog: pytest.LogCaptureFixture
) -> None:
    run = new_run(training=TRAINING)
    caplog.set_level(logging.INFO)

    def seen() -> tuple[int, int]:
        looks = [record.__dict__ for record in caplog.records if record.msg == "dev measure"]
        return (looks[-1]["best_step"], looks[-1]["versions_since"]) if looks else (-1, -1)

    with out_of_patience(run.store, run.layout, run.config, poll_seconds=0.01) as finish:
        for step, value in ((0, 0.3), (4, 0.305), (8, 0.4), (12, 0.405)):
            measured(run, step, value)
        wait_until(lambda: seen() == (8, 1))
        assert not finish()
        measured(run, 16, 0.1)
        wait_until(finish)


def test_versions_of_the_warm_up_do_not_count(new_run: NewRun, caplog: pytest.LogCaptureFixture) -> None:
    warmup = {"steps": 12, "learning_rate": 1e-3, "negatives": "random"}
    run = new_run(training={**TRAINING, "warmup": warmup, "refresh_from": "start"})
    caplog.set_level(logging.INFO)
    with out_of_patience(run.store, run.layout, run.config, poll_seconds=0.01) as finish:
        for step in (0, 4, 8):
            measured(run, step, 0.5)
        measured(run, 12, 0.4)
        wait_until(lambda: any(record.msg == "dev measure" for record in caplog.records))
        assert not finish()
        for step in (16, 20):
            measured(run, step, 0.4)
        wait_until(finish)


def test_without_early_stopping_nothing_is_looked_at(new_run: NewRun) -> None:
    run = new_run(training={**TRAINING, "early_stopping": None})
    for step in range(10):
        measured(run, step, 0.1)
    with out_of_patience(run.store, run.layout, run.config, poll_seconds=0.01) as finish:
        assert not finish()


def test_a_trainer_asks_the_records_of_its_refreshes_whether_to_end_early(
    new_run: NewRun, redis_server: LocalRedis, shutdown: Shutdown
) -> None:
    steps = 100  # the records are read while the model is loaded, or little later
    changes = {"checkpoint_steps": steps, "ance": {**ANCE, "steps": steps}, "early_stopping": {"patience": 1}}
    run = new_run(training={**TRAINING, **changes})
    run.store.write(run.layout.run_yaml, run.config.model_dump_json().encode())  # JSON is YAML
    run.publish_negatives(0)
    for step, value in ((0, 0.3), (4, 0.3)):
        measured(run, step, value)
    values = run.settings(redis_url=redis_server.url, feed_port=0, negatives_poll_seconds=0.01)
    place = Place(rank=0, world_size=1, local_rank=0)
    wiring.train(place, TrainerSettings.model_validate(values), TrainerMetrics(), Health(), shutdown)
    assert checkpoint(run).final
    assert 1 <= checkpoint(run).step < steps


def test_a_run_that_ends_early_says_so_and_stays_ended(new_run: NewRun, client: Redis, shutdown: Shutdown) -> None:
    run = new_run(training=TRAINING)
    run.publish_negatives(0)
    process = TrainerProcess(run, client, shutdown)
    reached: list[int] = []
    process.finish = lambda: bool(reached)
    process.run(after_step=lambda step: reached.append(step) if step == 8 else None)
    assert (checkpoint(run).step, checkpoint(run).final) == (9, True), "a step more, or step 8 would be published twice"
    value = process.metrics.registry.get_sample_value
    assert value("ance_trainer_stopping") == 1
    assert value("ance_trainer_total_steps") == 9, "no alert about steps that will never come"
    assert [record.get("stopping", False) for record in series(run)] == [False] * 8 + [True]

    again = TrainerProcess(run, client, shutdown)
    again.run()
    assert checkpoint(run).step == 9 and len(series(run)) == 9
    assert again.metrics.registry.get_sample_value("ance_trainer_total_steps") == 9


def test_a_run_that_is_told_to_leave_while_it_ends_early_is_not_marked_as_ended(new_run: NewRun, client: Redis) -> None:
    run = new_run(training=TRAINING)
    run.publish_negatives(0)
    with Shutdown(signals=()) as stop:
        process = TrainerProcess(run, client, stop)
        process.finish = lambda: stop.requested
        with pytest.raises(TrainingInterrupted):
            process.run(after_step=lambda step: stop.request() if step == 6 else None)
    assert (checkpoint(run).step, checkpoint(run).final) == (6, False)
