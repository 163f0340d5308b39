"""One leader at a time by Lease objects, whatever clocks, networks and paused processes do."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from ance.errors import AnceError
from ance.runtime.contracts import ArtifactRef
from ance.runtime.kubernetes import lease as lease_module
from ance.runtime.kubernetes.client import Cluster, Forbidden, now
from ance.runtime.kubernetes.lease import KubernetesLease, lease_name
from ance.runtime.lease import RunLease, open_lease
from ance.runtime.outage import Unreachable
from ance.runtime.settings import LeaderSettings
from ance.runtime.store import StaleFencingToken, Store
from tests.kubernetes_api.apply import Manager
from tests.kubernetes_api.kinds import Object, Resource
from tests.kubernetes_api.server import KubernetesApi

STORE = "file:///var/lib/ance"
NAME = lease_name("demo/indexer", STORE)
LEASE = Resource("coordination.k8s.io/v1", "default", "leases", NAME)


class Clock:
    """A monotonic clock that the test moves."""

    def __init__(self) -> None:
        self.time = 1000.0

    def __call__(self) -> float:
        return self.time


@pytest.fixture
def clock() -> Clock:
    return Clock()


Keeper = Callable[..., KubernetesLease]


@pytest.fixture
def keeper(cluster: Cluster, clock: Clock) -> Keeper:
    """Makes candidates for one lease of 15 s."""

    def make(holder: str, ttl_seconds: float = 15.0) -> KubernetesLease:
        return KubernetesLease(cluster, "demo/indexer", STORE, holder, ttl_seconds, clock)

    return make


@pytest.fixture
def candidate(cluster: Cluster) -> Iterator[Callable[[str], RunLease]]:
    """Makes candidates that renew by themselves, for a lease of 1 s, and releases what they hold."""
    leases: list[RunLease] = []

    def make(holder: str) -> RunLease:
        leases.append(RunLease(KubernetesLease(cluster, "demo/indexer", STORE, holder, 1.0)))
        return leases[-1]

    yield make
    for lease in leases:
        lease.release()


def spec(api: KubernetesApi) -> Object:
    found: Object = api.objects.get(LEASE)["spec"]
    return found


def test_the_first_candidate_gets_the_lease_and_the_second_does_not(api: KubernetesApi, keeper: Keeper) -> None:
    assert keeper("a").acquire(0) == 1
    assert keeper("b").acquire(0) == 0
    assert spec(api)["holderIdentity"].startswith("a_")
    assert spec(api)["leaseDurationSeconds"] == 15


def test_of_two_that_ask_at_the_same_time_one_wins(keeper: Keeper) -> None:
    candidates = [keeper(name) for name in "abcd"]
    candidates[0].acquire(0)
    candidates[0].release(1)
    barrier, tokens = threading.Barrier(len(candidates)), []

    def ask(candidate: KubernetesLease) -> None:
        barrier.wait()
        tokens.append(candidate.acquire(0))

    threads = [threading.Thread(target=ask, args=(candidate,)) for candidate in candidates]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(tokens) == [0, 0, 0, 2]


def test_the_token_is_lease_transitions_above_the_floor_of_the_store(api: KubernetesApi, keeper: Keeper) -> None:
    a, b = keeper("a"), keeper("b")
    assert a.acquire(41) == 42
    a.release(42)
    assert b.acquire(7) == 43
    assert spec(api)["leaseTransitions"] == 43


def test_a_released_lease_is_free_at_once(api: KubernetesApi, keeper: Keeper) -> None:
    a, b = keeper("a"), keeper("b")
    a.acquire(0)
    assert b.acquire(0) == 0
    a.release(1)
    assert spec(api)["holderIdentity"] == ""
    assert b.acquire(0) == 2


def test_a_silent_holder_is_replaced_when_its_time_has_passed_on_the_candidates_clock(
    keeper: Keeper, clock: Clock
) -> None:
    keeper("a").acquire(0)
    b = keeper("b")
    assert b.acquire(0) == 0
    clock.time += 14.9
    assert b.acquire(0) == 0
    clock.time += 0.2
    assert b.acquire(0) == 2


def test_a_candidate_that_has_just_come_waits_the_whole_time(keeper: Keeper, clock: Clock) -> None:
    keeper("a").acquire(0)
    clock.time += 1000
    assert keeper("b").acquire(0) == 0


@pytest.mark.parametrize("skew", [timedelta(hours=-5), timedelta(hours=5)], ids=["behind", "ahead"])
def test_a_holder_whose_clock_is_wrong_keeps_the_lease_as_long_as_it_renews(
    keeper: Keeper, clock: Clock, monkeypatch: pytest.MonkeyPatch, skew: timedelta
) -> None:
    monkeypatch.setattr(lease_module, "now", lambda: now() + skew)
    a, b = keeper("a"), keeper("b")
    token = a.acquire(0)
    for _ in range(5):
        assert b.acquire(0) == 0
        clock.time += 10
        assert a.renew(token) == token
    assert b.acquire(0) == 0
    clock.time += 15.1
    assert b.acquire(0) == 2, "and loses it as everybody does when it does not"


def test_a_holder_that_was_replaced_can_neither_renew_nor_release(
    api: KubernetesApi, keeper: Keeper, clock: Clock
) -> None:
    a, b = keeper("a"), keeper("b")
    a.acquire(0)
    b.acquire(0)
    clock.time += 15.1
    assert b.acquire(0) == 2
    assert a.renew(1) == 0
    a.release(1)
    assert spec(api)["holderIdentity"].startswith("b_")
    assert b.renew(2) == 2


def test_metadata_that_others_touch_does_not_cost_the_lease(api: KubernetesApi, keeper: Keeper) -> None:
    lease = keeper("a")
    lease.acquire(0)
    api.objects.patch(LEASE, {"metadata": {"annotations": {"note": "x"}}})
    assert lease.renew(1) == 1
    assert api.objects.get(LEASE)["metadata"]["annotations"] == {"note": "x"}


def test_a_deleted_lease_is_taken_again_with_a_higher_token(api: KubernetesApi, keeper: Keeper) -> None:
    lease = keeper("a")
    lease.acquire(6)
    api.objects.delete(LEASE)
    assert lease.renew(7) == 8
    assert lease.renew(8) == 8


def test_a_lease_that_another_made_after_it_was_deleted_is_lost(api: KubernetesApi, keeper: Keeper) -> None:
    a, b = keeper("a"), keeper("b")
    a.acquire(6)
    api.objects.delete(LEASE)
    assert b.acquire(7) == 8
    assert a.renew(7) == 0


def test_a_lease_taken_by_a_request_whose_answer_was_lost_is_recognised(
    api: KubernetesApi, keeper: Keeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    lease = keeper("a", ttl_seconds=0.6)
    taken = api.objects.create

    def slow(resource: Resource, body: Object, manager: Manager) -> Object:
        answer = taken(resource, body, manager)
        time.sleep(0.5)
        return answer

    monkeypatch.setattr(api.objects, "create", slow)
    with pytest.raises(Unreachable):
        lease.acquire(0)
    monkeypatch.undo()
    assert lease.acquire(0) == 2, "at once, not after the time to live"


def test_one_try_takes_a_free_lease_and_keeps_it_and_of_a_held_one_it_says_so_at_once(
    candidate: Callable[[str], RunLease],
) -> None:
    a, b = candidate("a"), candidate("b")
    assert a.try_acquire() == 1
    assert b.try_acquire() is None
    assert not a.lost.wait(1.5)
    assert b.try_acquire() is None
    a.release()
    assert b.try_acquire() == 2


def test_a_paused_leader_that_wakes_up_is_refused_by_the_store(
    candidate: Callable[[str], RunLease], tmp_path: Path
) -> None:
    store = Store.open(f"file://{tmp_path}")
    paused, successor = candidate("a"), candidate("b")
    paused.acquire()
    assert paused._heartbeat is not None
    paused._heartbeat.stop()  # as SIGSTOP does: nothing renews, and nothing notices
    successor.acquire()

    def publish(step: int, token: int) -> bool:
        ref = ArtifactRef(
            step=step, manifest_uri=f"{step}.json", manifest_sha256=f"{step:064x}", created_at=0.0, fencing_token=token
        )
        return store.move_pointer("latest/index.json", ref)

    assert publish(20, successor.token)
    assert not paused.lost.is_set()
    with pytest.raises(StaleFencingToken, match="older token 1 is refused"):
        publish(40, paused.token)


def test_an_outage_shorter_than_the_lease_costs_nothing(
    api: KubernetesApi, candidate: Callable[[str], RunLease], caplog: pytest.LogCaptureFixture
) -> None:
    lease = candidate("a")
    lease.acquire()
    with caplog.at_level(logging.WARNING):
        api.stop()
        assert not lease.lost.wait(0.6)
        api.start()
        assert not lease.lost.wait(0.8)
    assert [record.message.split(",")[0] for record in caplog.records] == ["the API server is unreachable"]


def test_an_outage_longer_than_the_lease_loses_it_in_time_and_another_takes_over(
    api: KubernetesApi, candidate: Callable[[str], RunLease]
) -> None:
    lease, other = candidate("a"), candidate("b")
    lease.acquire()
    api.stop()
    stopped = time.monotonic()
    assert lease.lost.wait(3)
    assert time.monotonic() - stopped < 1.5
    api.start()
    assert other.acquire() == 2


def test_a_server_that_hangs_loses_the_lease_in_time(api: KubernetesApi, candidate: Callable[[str], RunLease]) -> None:
    lease = candidate("a")
    lease.acquire()
    api.faults.seconds = 5
    hung = time.monotonic()
    assert lease.lost.wait(3)
    assert time.monotonic() - hung < 1.5
    api.faults.seconds = 0


def test_a_service_account_without_the_role_is_told_so_at_once(
    api: KubernetesApi, candidate: Callable[[str], RunLease]
) -> None:
    api.forbid("leases")
    with pytest.raises(Forbidden, match=r"get leases/ance-demo-indexer-.*403.*rbac\.create=true"):
        candidate("a").acquire()


def test_a_role_that_is_taken_away_loses_the_lease_only_after_its_time(
    api: KubernetesApi, candidate: Callable[[str], RunLease]
) -> None:
    lease = candidate("a")
    lease.acquire()
    api.forbid("leases")
    assert not lease.lost.wait(0.5)
    assert lease.lost.wait(1)


def test_names_are_valid_and_differ_between_stores() -> None:
    name = lease_name("My_Run.v2" + "x" * 60 + "/indexer", STORE)
    assert len(name) <= 63
    assert name.startswith("ance-my-run-v2xxx")
    assert lease_name("demo/indexer", STORE) != lease_name("demo/indexer", "s3://elsewhere/ance")


def test_the_settings_choose_where_the_lease_is_kept(cluster: Cluster, api: KubernetesApi) -> None:
    values = {"store": STORE, "run": "demo", "lease_backend": "kubernetes", "kubernetes": True}
    settings = LeaderSettings.model_validate(values)
    lease = open_lease(settings, "indexer", cluster)
    lease.acquire()
    assert spec(api)["leaseTransitions"] == 1
    lease.release()
    with pytest.raises(AnceError, match="ANCE_LEASE_BACKEND=kubernetes needs ANCE_KUBERNETES=true"):
        open_lease(settings, "indexer", None)
