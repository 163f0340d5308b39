"""How many pods a pass needs, worked out by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ance.runtime.kubernetes.scaling import ScalingPolicy, Stabiliser, Workload, wanted_replicas

POLICY = ScalingPolicy(minimum=0, maximum=8, target_seconds=600, stabilisation_seconds=300)


@pytest.mark.parametrize(
    ("remaining", "rate", "elapsed", "wanted"),
    [
        (60_000, 50.0, 0, 2),  # 60,000 / (50 x 600) = 2
        (60_001, 50.0, 0, 3),
        (30_000, 50.0, 300, 2),  # half of it in half of the time: on schedule
        (45_000, 50.0, 300, 3),  # behind
        (10_000, 50.0, 300, 1),  # ahead
        (1_000_000, 50.0, 0, 8),  # never above the maximum
        (6_000, 50.0, 9_999, 2),  # late: a tenth of the target is left, 6,000 / (50 x 60)
        (1, 50.0, 0, 1),
        (0, 50.0, 0, 0),
    ],
)
def test_replicas_are_what_finishes_the_pass_in_time(remaining: int, rate: float, elapsed: float, wanted: int) -> None:
    assert wanted_replicas(Workload(remaining, rate, elapsed), 0, POLICY) == wanted


def test_before_anything_was_measured_what_there_is_stays_and_one_is_the_least() -> None:
    unknown = Workload(remaining=1000, rate=None)
    assert wanted_replicas(unknown, 0, POLICY) == 1
    assert wanted_replicas(unknown, 3, POLICY) == 3
    assert wanted_replicas(unknown, 30, POLICY) == 8


def test_a_pod_with_a_task_in_hand_is_not_removed() -> None:
    ahead = Workload(remaining=100, rate=50.0, elapsed_seconds=10, busy=3)
    assert wanted_replicas(ahead, 5, POLICY) == 3
    assert wanted_replicas(ahead, 2, POLICY) == 2, "tasks in hand never add pods"


def test_the_end_of_training_leaves_the_minimum_whatever_is_busy() -> None:
    assert wanted_replicas(Workload(busy=4, ended=True), 4, POLICY) == 0
    kept = ScalingPolicy(minimum=1, maximum=8, target_seconds=600, stabilisation_seconds=300)
    assert wanted_replicas(Workload(ended=True), 4, kept) == 1


@given(
    remaining=st.integers(0, 10**9),
    rate=st.none() | st.floats(0.1, 1e6),
    elapsed=st.floats(0, 1e6),
    busy=st.integers(0, 50),
    current=st.integers(0, 50),
    ended=st.booleans(),
)
def test_the_bounds_hold_always(
    remaining: int, rate: float | None, elapsed: float, busy: int, current: int, ended: bool
) -> None:
    policy = ScalingPolicy(minimum=2, maximum=8, target_seconds=600, stabilisation_seconds=0)
    assert 2 <= wanted_replicas(Workload(remaining, rate, elapsed, busy, ended), current, policy) <= 8


def test_up_at_once_and_down_only_after_the_window() -> None:
    stabiliser = Stabiliser(300)
    assert stabiliser.steady(0, 2, current=2) == 2
    assert stabiliser.steady(10, 6, current=2) == 6
    assert stabiliser.steady(20, 1, current=6) == 6
    assert stabiliser.steady(309, 1, current=6) == 6
    assert stabiliser.steady(311, 1, current=6) == 1


def test_down_only_to_the_highest_of_the_window() -> None:
    stabiliser = Stabiliser(300)
    stabiliser.steady(0, 6, current=6)
    stabiliser.steady(200, 4, current=6)
    assert stabiliser.steady(301, 1, current=6) == 4


def test_a_new_leader_does_not_scale_down_at_its_first_look() -> None:
    stabiliser = Stabiliser(300)
    assert stabiliser.steady(1000, 0, current=5) == 5
    assert stabiliser.steady(1301, 0, current=5) == 0


def test_what_people_have_scaled_down_by_hand_is_not_scaled_up_by_the_past() -> None:
    stabiliser = Stabiliser(300)
    stabiliser.steady(0, 6, current=6)
    assert stabiliser.steady(10, 2, current=1) == 2
