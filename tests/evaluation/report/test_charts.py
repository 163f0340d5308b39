"""What all charts share."""

import numpy as np
import pytest

from ance.evaluation.report.charts import MAX_POINTS, line, numbers, smoothed, thinned


def test_a_running_mean_is_over_the_values_around_each_and_over_fewer_at_the_ends() -> None:
    values = np.array([0.0, 3.0, 6.0, 9.0])
    np.testing.assert_allclose(smoothed(values, 3), [1.5, 3.0, 6.0, 7.5])
    np.testing.assert_allclose(smoothed(values, 1), values)


def test_a_running_mean_leaves_out_what_is_not_a_number() -> None:
    np.testing.assert_allclose(smoothed(np.array([1.0, np.nan, 5.0]), 3), [1.0, 3.0, 5.0])
    assert np.isnan(smoothed(np.array([np.nan, np.nan]), 1)).all()


@pytest.mark.parametrize("length", [1, 2, MAX_POINTS, MAX_POINTS + 1, 1_000_000])
def test_a_line_keeps_its_ends_however_many_points_it_loses(length: int) -> None:
    kept = thinned(length)
    assert kept[0] == 0 and kept[-1] == length - 1
    assert len(kept) == min(length, MAX_POINTS)
    assert (np.diff(kept) > 0).all()


def test_a_line_of_a_million_steps_stays_small() -> None:
    x = np.arange(1e6)
    trace = line("loss", x, x, "#000000")
    assert len(trace["x"]) == len(trace["y"]) == MAX_POINTS


def test_a_value_that_is_not_finite_is_a_gap() -> None:
    assert numbers(np.array([1.0, np.nan, np.inf, 0.123456789])) == [1.0, None, None, 0.12346]
