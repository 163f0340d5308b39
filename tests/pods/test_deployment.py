from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from tests.pods.deployment import Bounds, bounds, plan


@dataclass(eq=False)
class FakePod:
    revision: str
    ready: bool = True
    terminating: bool = False


def test_a_rollout_with_surge_starts_new_pods_before_it_ends_old_ones() -> None:
    old = [FakePod("old"), FakePod("old")]
    assert plan(2, "new", Bounds(1, 0), old) == (1, [])
    starting = FakePod("new", ready=False)
    assert plan(2, "new", Bounds(1, 0), [*old, starting]) == (0, [])
    starting.ready = True
    assert plan(2, "new", Bounds(1, 0), [*old, starting]) == (0, old[:1])


def test_a_rollout_without_surge_ends_an_old_pod_first() -> None:
    old = [FakePod("old"), FakePod("old")]
    assert plan(2, "new", Bounds(0, 1), old) == (0, old[:1])


def test_recreate_waits_until_the_last_old_pod_has_gone() -> None:
    old = FakePod("old")
    assert plan(1, "new", None, [old]) == (0, [old])
    old.terminating = True
    assert plan(1, "new", None, [old]) == (0, [])
    assert plan(1, "new", None, []) == (1, [])


def test_scaling_in_ends_pods_that_do_not_serve_first() -> None:
    idle = FakePod("new", ready=False)
    assert plan(1, "new", Bounds(1, 0), [FakePod("new"), idle]) == (0, [idle])


def test_percentages_round_so_that_an_update_is_always_possible() -> None:
    assert bounds({}, 2) == Bounds(1, 0)
    assert bounds({"rollingUpdate": {"maxSurge": 0, "maxUnavailable": "50%"}}, 4) == Bounds(0, 2)
    assert bounds({"type": "Recreate"}, 2) is None
    with pytest.raises(ValueError, match="both 0"):
        bounds({"rollingUpdate": {"maxSurge": 0, "maxUnavailable": 0}}, 2)


@settings(deadline=None)
@given(
    replicas=some.integers(0, 5),
    surge=some.integers(0, 3),
    unavailable=some.integers(0, 3),
    starts=some.lists(some.booleans(), max_size=60),
)
def test_a_rollout_keeps_its_bounds_and_ends(replicas: int, surge: int, unavailable: int, starts: list[bool]) -> None:
    limits = Bounds(surge, max(unavailable, 1 if surge == 0 else 0))
    pods = [FakePod("old") for _ in range(replicas)]
    for starts_now in [*starts, *[True] * 30]:
        create, delete = plan(replicas, "new", limits, pods)
        pods = [pod for pod in pods if pod not in delete]
        pods += [FakePod("new", ready=False) for _ in range(create)]
        assert len(pods) <= replicas + limits.surge
        assert sum(pod.ready for pod in pods) >= replicas - limits.unavailable
        for pod in pods:
            pod.ready |= starts_now
    assert [pod.revision for pod in pods] == ["new"] * replicas
