"""When checkpoints are due."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ance.training.checkpoint_schedule import CheckpointSchedule


def due(schedule: int | str, steps: int) -> list[int]:
    parsed = CheckpointSchedule.parse(schedule)
    return [step for step in range(steps + 1) if parsed.is_due(step)]


def test_a_number_is_the_interval_of_the_whole_run() -> None:
    assert due(4, 13) == [4, 8, 12]
    assert due("0:4", 13) == [4, 8, 12]


def test_a_phase_counts_from_its_first_step() -> None:
    assert due("0:3, 10:5", 26) == [3, 6, 9, 15, 20, 25]
    assert due("0:5,10:7", 26) == [5, 10, 17, 24], "the step that ends a phase still belongs to it"
    assert due("0:100,4:2", 8) == [6, 8], "a phase may be shorter than its interval"


phases = st.dictionaries(st.integers(1, 60), st.integers(1, 20), max_size=4).flatmap(
    lambda later: st.integers(1, 20).map(lambda first: tuple(sorted({0: first, **later}.items())))
)


@given(phases, st.integers(0, 120))
def test_the_last_due_step_is_the_greatest_that_was_due(parts: tuple[tuple[int, int], ...], step: int) -> None:
    schedule = CheckpointSchedule(parts)
    assert schedule.last_due(step) == max([0, *(at for at in range(step + 1) if schedule.is_due(at))])


@given(phases, st.integers(0, 120))
def test_the_next_due_step_is_the_least_that_is_still_to_come(parts: tuple[tuple[int, int], ...], step: int) -> None:
    schedule = CheckpointSchedule(parts)
    later = schedule.next_due(step)
    assert later > step and schedule.is_due(later)
    assert not any(schedule.is_due(between) for between in range(step + 1, later))


@given(phases, st.integers(0, 60), st.integers(0, 60))
def test_the_longest_pause_is_between_two_checkpoints_of_the_stage(
    parts: tuple[tuple[int, int], ...], start: int, steps: int
) -> None:
    schedule, stop = CheckpointSchedule(parts), start + steps
    between = [step for step in range(start + 1, stop) if schedule.is_due(step)]
    pauses = [later - earlier for earlier, later in pairwise([start, *between, stop])]
    assert schedule.longest(start, stop) == max(pauses)


@pytest.mark.parametrize(
    ("schedule", "longest"),
    [(1000, 1000), ("0:500,1200:1000", 1200), ("0:1000,500:1000", 1500), ("0:500,1000:1000", 1000)],
)
def test_a_phase_that_ends_before_its_checkpoint_makes_the_pause_longer(schedule: int | str, longest: int) -> None:
    assert CheckpointSchedule.parse(schedule).longest(0, 4000) == longest


@given(phases, st.integers(0, 100))
def test_two_checkpoints_of_a_phase_are_its_interval_apart(parts: tuple[tuple[int, int], ...], step: int) -> None:
    schedule = CheckpointSchedule(parts)
    nearest = schedule.last_due(step)
    ends = [first for first, _ in parts[1:]] + [10**6]
    spans = [(first, every, end) for (first, every), end in zip(parts, ends, strict=True)]
    first, interval, end = next(span for span in spans if span[2] > step)
    assert schedule.interval(step) == interval
    if nearest > first and nearest + interval <= end:
        assert schedule.is_due(nearest + interval)
        assert not any(schedule.is_due(between) for between in range(nearest + 1, nearest + interval))


@pytest.mark.parametrize(
    ("schedule", "message"),
    [
        ("often", "neither a number of steps nor a schedule as 0:500,2000:1000"),
        ("0:500,", "neither a number"),
        ("10:500", "must rise from 0"),
        ("0:500,20:1,10:2", "must rise from 0"),
        ("0:0", "interval of 0 steps"),
        (0, "interval of 0 steps"),
        (-3, "neither a number"),
    ],
)
def test_what_is_no_schedule_is_refused(schedule: int | str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CheckpointSchedule.parse(schedule)
