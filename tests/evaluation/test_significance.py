"""The paired randomisation test, against all relabellings and a normal approximation."""

from itertools import product

import numpy as np
import pytest

from ance.evaluation.significance import compare


def exact_p(a: np.ndarray, b: np.ndarray) -> float:
    """Share of all 2^Q relabellings with a difference at least as large."""
    difference = b - a
    sums = [
        abs(sum(sign * d for sign, d in zip(signs, difference, strict=True)))
        for signs in product((1, -1), repeat=len(a))
    ]
    return float(np.mean(np.array(sums) >= abs(difference.sum()) - 1e-9))


@pytest.mark.parametrize("shift", [0.0, 0.2, 0.6])
def test_p_is_the_share_of_relabellings_that_differ_at_least_as_much(shift: float) -> None:
    rng = np.random.default_rng(3)
    a = rng.random(10)
    b = np.clip(a + shift + rng.normal(0, 0.3, 10), 0, 2)
    found = compare(a, b, samples=20_000)
    assert found.p == pytest.approx(exact_p(a, b), abs=0.015)
    assert found.difference == pytest.approx((b - a).mean())
    assert (found.mean_a, found.mean_b, found.queries) == (pytest.approx(a.mean()), pytest.approx(b.mean()), 10)


def test_equal_systems_never_differ() -> None:
    values = np.random.default_rng(0).random(20)
    assert compare(values, values, samples=500).p == 1.0


def test_ties_of_reciprocal_ranks_count_as_equally_large() -> None:
    """All relabellings of one differing query have the same difference, whatever the order of summation."""
    a = np.full(7, 0.1)
    b = a.copy()
    b[3] = 1 / 3
    assert compare(a, b, samples=2_000).p == 1.0


def test_the_test_has_two_sides() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.random(40), rng.random(40)
    assert compare(a, b, samples=3_000).p == compare(b, a, samples=3_000).p


def test_a_large_difference_reaches_the_least_p_there_is() -> None:
    a = np.zeros(50)
    assert compare(a, a + 1, samples=999).p == pytest.approx(1 / 1000)


def test_systems_that_are_the_same_are_called_different_as_often_as_p_says() -> None:
    rng = np.random.default_rng(2)
    ps = [compare(*(rng.random((2, 25))), samples=400, seed=trial).p for trial in range(300)]
    assert 0.02 < np.mean(np.array(ps) <= 0.05) < 0.09


def test_the_seed_fixes_p() -> None:
    a, b = np.random.default_rng(4).random((2, 30))
    assert compare(a, b, 300, seed=1) == compare(a, b, 300, seed=1)
    assert compare(a, b, 300, seed=1).p != compare(a, b, 300, seed=2).p


def test_queries_that_one_system_lacks_are_left_out() -> None:
    a, b = np.array([0.5, np.nan, 1.0, 0.0]), np.array([0.0, 1.0, 0.0, np.nan])
    found = compare(a, b, 100)
    assert (found.queries, found.mean_a, found.mean_b) == (2, 0.75, 0.0)


def test_what_cannot_be_compared_is_refused() -> None:
    with pytest.raises(ValueError, match="2 queries of one system, 3 of the other"):
        compare(np.zeros(2), np.zeros(3))
    with pytest.raises(ValueError, match="no query"):
        compare(np.array([np.nan]), np.array([1.0]))
