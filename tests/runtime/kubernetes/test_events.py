"""Events that operators find, in a form the API server takes, and no more of them than it can bear."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator

import pytest

from ance.errors import AnceError
from ance.runtime.kubernetes.client import Cluster
from ance.runtime.kubernetes.events import BURST, REFILL_SECONDS, Events, open_events, unheard
from ance.runtime.kubernetes.messenger import Messenger
from tests.kubernetes_api.server import KubernetesApi
from tests.runtime.conftest import wait_until


@pytest.fixture
def messenger() -> Iterator[Messenger]:
    with Messenger("events") as messenger:
        yield messenger


class Clock:
    time = 0.0

    def __call__(self) -> float:
        return self.time


def notes(api: KubernetesApi) -> list[str]:
    return [event["note"] for event in api.objects.list("events")]


def test_an_event_is_on_the_pod_and_valid(api: KubernetesApi, cluster: Cluster) -> None:
    with open_events(cluster, "indexer") as announce:
        announce("IndexPublished", "index of step 40")
    (event,) = api.objects.list("events")  # which the server has validated
    assert event["apiVersion"] == "events.k8s.io/v1"
    assert event["regarding"] == {
        "apiVersion": "v1",
        "kind": "Pod",
        "name": "encoder-0",
        "namespace": "default",
        "uid": cluster.pod.uid,
    }
    assert (event["reason"], event["type"], event["note"]) == ("IndexPublished", "Normal", "index of step 40")
    assert (event["reportingController"], event["reportingInstance"]) == ("ance-indexer", "encoder-0")


def test_an_event_on_the_owner_carries_its_uid_for_kubectl_describe(api: KubernetesApi, cluster: Cluster) -> None:
    owner = api.add_deployment("ance-indexer", 2)
    with open_events(cluster, "indexer", "Deployment/ance-indexer") as announce:
        announce("RefreshAborted", "the disk is on fire")
        announce("IndexPublished", "index of step 40")
    aborted, published = api.objects.list("events")
    assert aborted["regarding"]["uid"] == owner["metadata"]["uid"]
    assert aborted["regarding"]["apiVersion"] == "apps/v1"
    assert (aborted["type"], published["type"]) == ("Warning", "Normal")
    assert api.count("get", "deployments") == 1


def test_an_owner_that_may_not_be_read_gets_its_events_all_the_same(api: KubernetesApi, cluster: Cluster) -> None:
    api.forbid("jobs")
    with open_events(cluster, "trainer", "Job/ance-trainer-1f3a") as announce:
        announce("CheckpointPublished", "checkpoint of step 20")
    (event,) = api.objects.list("events")
    assert event["regarding"]["name"] == "ance-trainer-1f3a"
    assert "uid" not in event["regarding"]


@pytest.mark.parametrize("regarding", ["ance-indexer", "Deployment/", "Service/ance"])
def test_an_object_of_no_known_kind_is_an_error_that_names_the_variable(cluster: Cluster, regarding: str) -> None:
    with pytest.raises(AnceError, match=f"ANCE_EVENT_OBJECT.*{regarding}"), open_events(cluster, "indexer", regarding):
        pass


def test_a_long_note_is_cut_to_what_the_server_takes(api: KubernetesApi, cluster: Cluster) -> None:
    with open_events(cluster, "indexer") as announce:
        announce("RefreshAborted", "ä" * 2000)
    assert notes(api) == ["ä" * 512]


def test_events_that_come_too_fast_are_left_out_and_counted_in_the_next(
    api: KubernetesApi, cluster: Cluster, messenger: Messenger
) -> None:
    clock = Clock()
    events = Events(cluster, messenger, "trainer", clock=clock)
    for step in range(BURST + 5):
        events.publish("CheckpointPublished", f"step {step}")
    clock.time += REFILL_SECONDS
    events.publish("CheckpointPublished", "later")
    events.publish("CheckpointPublished", "too soon")
    assert wait_until(lambda: len(notes(api)) == BURST + 1)
    assert notes(api) == [f"step {step}" for step in range(BURST)] + ["later (5 earlier events were left out)"]


def test_publishing_never_waits_and_an_outage_delays_events_without_losing_them(
    api: KubernetesApi, cluster: Cluster, messenger: Messenger, caplog: pytest.LogCaptureFixture
) -> None:
    events = Events(cluster, messenger, "trainer")
    api.stop()
    with caplog.at_level(logging.WARNING):
        events.publish("CheckpointPublished", "step 20")
        events.publish("CheckpointPublished", "step 40")
        assert wait_until(lambda: bool(caplog.records))
    api.start()
    assert wait_until(lambda: notes(api) == ["step 20", "step 40"])
    assert len(caplog.records) == 1


def test_a_missing_role_is_said_once_and_nothing_else_happens(
    api: KubernetesApi, cluster: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    api.forbid("events")
    with caplog.at_level(logging.WARNING), open_events(cluster, "trainer") as announce:
        for step in range(3):
            announce("CheckpointPublished", f"step {step}")
    assert api.count("create", "events") == 3
    (record,) = caplog.records
    assert "create events.events.k8s.io: 403" in record.message and "Role" in record.message


def test_the_end_does_not_wait_for_a_server_that_is_away(cluster: Cluster, api: KubernetesApi) -> None:
    api.stop()
    started = time.monotonic()
    with open_events(cluster, "trainer") as announce:
        announce("CheckpointPublished", "step 20")
    assert time.monotonic() - started < 5


def test_the_end_waits_only_so_long_for_a_server_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ance.runtime.kubernetes.messenger.FLUSH_SECONDS", 0.2)
    release = threading.Event()
    started = time.monotonic()
    with Messenger("events") as messenger:
        messenger.send("hangs", lambda: release.wait(20))
    assert 0.1 < time.monotonic() - started < 2
    release.set()


def test_a_server_that_is_away_for_long_costs_no_memory(
    api: KubernetesApi, messenger: Messenger, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("ance.runtime.kubernetes.messenger.CAPACITY", 3)
    release, made = threading.Event(), []
    messenger.send("first", release.wait)
    assert wait_until(lambda: not messenger._waiting)
    with caplog.at_level(logging.WARNING):
        for number in range(6):
            messenger.send(str(number), lambda number=number: made.append(number))  # type: ignore[misc]
    release.set()
    assert wait_until(lambda: made == [0, 1, 2])
    assert len(caplog.records) == 1


def test_outside_of_kubernetes_nobody_is_told() -> None:
    with open_events(None, "trainer") as announce:
        assert announce is unheard
        announce("CheckpointPublished", "step 20")
