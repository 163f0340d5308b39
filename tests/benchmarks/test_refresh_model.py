"""The model of a refresh where its answer is known."""

from __future__ import annotations

import pytest

from benchmarks.refresh_model import Encoders, Miners, Work, mean_async_gap, simulate

WORK = Work(passages=1000, queries=10, shard_rows=100)


def test_one_encoder_takes_as_long_as_all_shards_one_after_the_other() -> None:
    predicted = simulate(WORK, Encoders(1, rows_a_second=50, task_seconds=1.0, spread=0.0), Miners())
    assert predicted.refresh_seconds == pytest.approx(10 * (100 / 50 + 1))
    assert predicted.encoders_busy == pytest.approx(1.0)
    assert predicted.behind_seconds == 0


@pytest.mark.parametrize(("count", "rounds"), [(2, 5), (3, 4), (4, 3), (10, 1), (20, 1)])
def test_shards_come_in_rounds_and_the_last_may_leave_encoders_idle(count: int, rounds: int) -> None:
    predicted = simulate(WORK, Encoders(count, rows_a_second=50, spread=0.0), Miners())
    assert predicted.encode_seconds == pytest.approx(rounds * 2.0)
    assert predicted.encoders_busy == pytest.approx(10 / (rounds * count))


def test_a_shard_that_is_not_full_takes_less() -> None:
    work = Work(passages=1050, queries=10, shard_rows=100)
    assert simulate(work, Encoders(1, 50, spread=0.0), Miners()).encode_seconds == pytest.approx(21.0)


@pytest.mark.parametrize(("ranges", "seconds"), [(1, 50.0), (2, 25.0), (5, 10.0)])
def test_miners_that_cannot_keep_up_decide_and_ranges_divide_their_work(ranges: int, seconds: float) -> None:
    """Ten shards of 5 s each, which the encoders deliver in a tenth of a second."""
    miners = Miners(ranges, scores_a_second=200, closing_seconds=3.0)
    predicted = simulate(WORK, Encoders(10, rows_a_second=1000, spread=0.0), miners)
    assert predicted.refresh_seconds == pytest.approx(0.1 + seconds + 3.0)
    assert predicted.behind_seconds == pytest.approx(seconds)


def test_miners_that_keep_up_cost_the_last_shard_only() -> None:
    predicted = simulate(WORK, Encoders(1, rows_a_second=50, spread=0.0), Miners(scores_a_second=1000))
    assert predicted.refresh_seconds == pytest.approx(20 + 1)


def test_shards_that_differ_take_as_long_in_the_mean() -> None:
    work = Work(passages=100_000, queries=0, shard_rows=100)
    even, uneven = (simulate(work, Encoders(1, 50, spread=spread), Miners()) for spread in (0.0, 0.3))
    assert uneven.encode_seconds == pytest.approx(even.encode_seconds, rel=0.05)
    assert uneven.encode_seconds != even.encode_seconds


def test_the_mean_gap_is_one_refresh_and_a_half() -> None:
    assert mean_async_gap(refresh_seconds=100, steps_a_second=2) == 300
