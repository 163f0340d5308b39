import math
import socket
import threading
import urllib.request

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from ance.errors import AnceError
from ance.runtime.metrics import IndexerMetrics, InferencerMetrics, SearchMetrics, TrainerMetrics, labelled, serve

SERVICES = (TrainerMetrics, InferencerMetrics, IndexerMetrics, SearchMetrics)


def scrape(port: int) -> dict[str, float]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as response:
        text = response.read().decode()
    return {
        sample.name + "".join(f"{{{key}={value}}}" for key, value in sample.labels.items()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def exported(registry: CollectorRegistry) -> set[str]:
    return {family.name for family in registry.collect()}


def test_a_scrape_shows_what_the_trainer_observed() -> None:
    metrics = TrainerMetrics()
    metrics.set_stage("warmup")
    metrics.observe_step(step=7, loss=0.5, learning_rate=1e-4, seconds=0.2, tokens=1000)
    metrics.gradient_norm.labels(group="global").set(2.5)

    with serve(metrics.registry, 0, host="127.0.0.1") as server:
        samples = scrape(server.port)

    assert samples["ance_trainer_step"] == 7
    assert samples["ance_trainer_loss"] == 0.5
    assert samples["ance_trainer_tokens_total"] == 1000
    assert samples["ance_trainer_step_duration_seconds_count"] == 1
    assert samples["ance_trainer_stage_info{stage=warmup}"] == 1
    assert samples["ance_trainer_gradient_norm{group=global}"] == 2.5
    assert samples["process_resident_memory_bytes"] > 0


def test_what_was_never_measured_is_not_zero() -> None:
    registry = TrainerMetrics().registry
    assert math.isnan(registry.get_sample_value("ance_trainer_loss") or 0)
    assert registry.get_sample_value("ance_trainer_gradient_norm", {"group": "global"}) is None
    assert registry.get_sample_value("ance_trainer_waiting") == 0


def test_events_with_known_labels_are_counted_from_zero() -> None:
    registry = InferencerMetrics().registry
    for result in ("done", "failed", "handed_back", "lost"):
        assert registry.get_sample_value("ance_inferencer_tasks_total", {"result": result}) == 0
    assert registry.get_sample_value("ance_inferencer_rows_encoded_total", {"part": "passages"}) == 0


def test_the_indexer_shows_the_queue_under_its_own_name() -> None:
    assert {
        "ance_queue_waiting",
        "ance_queue_pending",
        "ance_queue_oldest_age_seconds",
        "ance_queue_dead",
        "ance_indexer_refresh_shards",
        "ance_indexer_refresh_shards_done",
        "ance_indexer_refreshes",
    } <= exported(IndexerMetrics().registry)


def test_every_sample_of_a_process_names_its_run() -> None:
    metrics = TrainerMetrics()
    metrics.observe_gradients({"global": 2.0}, {"ance": [0.5, 0.7], "in_batch": []})
    with serve(labelled(metrics.registry, run="demo"), 0, host="127.0.0.1") as server:
        samples = scrape(server.port)
    assert samples["ance_trainer_gradient_norm{group=global}{run=demo}"] == 2
    assert samples["ance_trainer_instance_gradient_norm_bound_count{negatives=ance}{run=demo}"] == 2
    ours = [name for name in samples if name.startswith("ance_")]
    assert ours and all("{run=demo}" in name for name in ours)


def test_waits_for_an_unreachable_store_are_counted_and_wait() -> None:
    waited: list[float] = []

    def wait(seconds: float) -> bool:
        waited.append(seconds)
        return True

    metrics = InferencerMetrics()
    assert metrics.store.counting(wait)(0.5) is True
    assert waited == [0.5]
    assert metrics.registry.get_sample_value("ance_store_retries_total") == 1


def test_a_process_that_leads_no_longer_says_nothing_of_the_queue() -> None:
    metrics = IndexerMetrics()
    metrics.queue.show(waiting=3, pending=2, oldest_age_seconds=1.5, dead=0)
    assert metrics.registry.get_sample_value("ance_queue_up") == 1
    assert metrics.registry.get_sample_value("ance_queue_waiting") == 3
    metrics.queue.hide()
    assert math.isnan(metrics.registry.get_sample_value("ance_queue_up") or 0)
    assert math.isnan(metrics.registry.get_sample_value("ance_queue_waiting") or 0)


@pytest.mark.parametrize("service", SERVICES)
def test_names_follow_the_convention(service: type[TrainerMetrics]) -> None:
    for family in service().registry.collect():
        assert family.name.startswith("ance_")
        assert ":" not in family.name
        assert family.documentation.endswith(".")
        if family.type == "histogram":
            assert family.name.endswith(("_seconds", "_bound", "_queries"))
        if family.type == "gauge":
            assert not family.name.endswith("_total")


def test_two_services_of_one_process_do_not_share_metrics() -> None:
    first, second = SearchMetrics(), SearchMetrics()
    first.requests.labels(mode="dense", code="200").inc()
    labels = {"mode": "dense", "code": "200"}
    assert first.registry.get_sample_value("ance_search_requests_total", labels) == 1
    assert second.registry.get_sample_value("ance_search_requests_total", labels) is None


def test_a_port_in_use_is_named_with_the_variable_to_change() -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        with pytest.raises(AnceError, match=rf"127\.0\.0\.1:{port}.*in use.*ANCE_METRICS_PORT"):
            serve(CollectorRegistry(), port, host="127.0.0.1")


def test_stopping_closes_the_port_and_ends_the_thread() -> None:
    before = threading.active_count()
    server = serve(CollectorRegistry(), 0, host="127.0.0.1")
    server.stop()
    assert threading.active_count() == before
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", server.port))
