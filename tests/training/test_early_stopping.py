"""How versions compare on the dev split."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ance.training.early_stopping import Standing, standing


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.3], Standing(0, 0.3, 0)),
        ([0.3, 0.2, 0.4], Standing(2, 0.4, 0)),
        ([0.3, 0.4, 0.4, 0.1], Standing(1, 0.4, 2)),
    ],
)
def test_versions_since_the_best_are_counted_and_an_equal_one_is_no_better(
    values: list[float], expected: Standing
) -> None:
    assert standing(enumerate(values)) == expected


def test_a_small_gain_does_not_count_but_small_gains_that_add_up_do() -> None:
    assert standing(enumerate([0.30, 0.305]), min_delta=0.01) == Standing(0, 0.30, 1)
    assert standing(enumerate([0.30, 0.305, 0.3125]), min_delta=0.01) == Standing(2, 0.3125, 0)


def test_nothing_is_known_before_the_first_version() -> None:
    assert standing([]) is None


@given(st.lists(st.floats(0, 1), min_size=1))
def test_without_a_least_gain_the_best_is_the_first_of_the_highest(values: list[float]) -> None:
    found = standing(enumerate(values))
    assert found is not None
    assert found.best_step == values.index(max(values))
    assert found.versions_since == len(values) - 1 - found.best_step
