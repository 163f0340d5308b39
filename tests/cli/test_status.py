"""The state of a run is what its services said last."""

import pytest
from prometheus_client import CollectorRegistry

from ance.cli.scrape import Samples, scrape
from ance.cli.status import Pace, Status
from ance.runtime.metrics import IndexerMetrics, SearchMetrics, TrainerMetrics, serve

NOTHING = Samples()


def said(registry: CollectorRegistry) -> Samples:
    with serve(registry, 0, "127.0.0.1") as server:
        return scrape(f"http://127.0.0.1:{server.port}/metrics")


def test_before_anyone_answers_the_run_is_starting() -> None:
    status = Status()
    status.update(NOTHING, NOTHING, NOTHING)
    assert (status.stage, status.step, status.loss, status.serving_step) == ("starting", 0, None, None)


def test_the_trainer_tells_stage_step_loss_and_async_gap() -> None:
    metrics, status = TrainerMetrics(), Status()
    metrics.set_stage("ance")
    metrics.total_steps.set(80)
    metrics.observe_step(step=30, loss=0.7, learning_rate=1e-3, seconds=0.1, tokens=10)
    metrics.async_gap_steps.set(7)
    metrics.async_gap_seconds.set(2.5)
    metrics.waiting.set(1)
    metrics.stopping.set(1)
    status.update(said(metrics.registry), NOTHING, NOTHING)
    assert (status.stage, status.step, status.total_steps, status.loss) == ("ANCE", 30, 80, 0.7)
    assert (status.async_gap, status.async_gap_seconds, status.waiting) == (7, 2.5, True)
    assert status.stopping


def test_a_trainer_that_is_gone_or_just_started_again_keeps_the_step() -> None:
    metrics, status = TrainerMetrics(), Status()
    metrics.observe_step(step=30, loss=0.7, learning_rate=1e-3, seconds=0.1, tokens=10)
    status.update(said(metrics.registry), NOTHING, NOTHING)
    status.update(NOTHING, NOTHING, NOTHING)
    status.update(said(TrainerMetrics().registry), NOTHING, NOTHING)
    assert status.step == 30


def test_the_indexer_tells_its_refresh_and_dev_metric_by_version() -> None:
    metrics, status = IndexerMetrics(), Status()
    metrics.refresh_step.set(25)
    metrics.refresh_shards.set(8)
    metrics.refresh_shards_done.set(3)
    metrics.refreshes.inc(2)
    for step, value in ((5, 0.25), (15, 0.5)):
        metrics.published_step.set(step)
        metrics.dev_metric.labels(measure="RR@10").set(value)
        status.update(NOTHING, said(metrics.registry), NOTHING)
    assert (status.refresh_step, status.shards_done, status.shards, status.refreshes) == (25, 3, 8, 2)
    assert status.dev == {5: 0.25, 15: 0.5}


def test_search_tells_the_version_it_serves_once_it_has_one() -> None:
    metrics, status = SearchMetrics(), Status()
    status.update(NOTHING, NOTHING, said(metrics.registry))
    assert status.serving_step is None
    metrics.index_step.set(0)
    status.update(NOTHING, NOTHING, said(metrics.registry))
    assert status.serving_step == 0


def test_the_time_left_follows_the_pace() -> None:
    pace = Pace()
    for now, step in ((10.0, 100), (11.0, 100), (12.0, 104), (20.0, 120)):
        pace.observe(step, now)
    assert pace.seconds_to(160) == pytest.approx(20.0)
    assert pace.seconds_to(110) == 0


def test_the_time_left_is_unknown_before_there_is_a_pace_and_after_a_step_back() -> None:
    pace = Pace()
    assert pace.seconds_to(10) is None
    pace.observe(1, 0.0)
    assert pace.seconds_to(10) is None
    pace.observe(5, 1.0)
    pace.observe(2, 9.0)  # the trainer died and resumed
    assert pace.seconds_to(10) is None


def test_after_the_last_step_no_time_is_left_to_tell() -> None:
    status = Status(step=80, total_steps=80)
    status.pace.observe(70, 0.0)
    status.pace.observe(80, 1.0)
    assert status.seconds_left() is None
