import pytest

from services.search_api.versions.probe import check_metrics
from services.search_api.versions.snapshot import RefusedVersion


def test_an_approximate_index_may_lose_a_little() -> None:
    check_metrics({"RR@10": 0.4, "R@100": 0.9}, {"RR@10": 0.3, "R@100": 0.7}, 128)


def test_a_small_sample_may_be_unlucky() -> None:
    check_metrics({"RR@10": 0.2}, {"RR@10": 0.0}, 8)


def test_an_index_that_finds_next_to_nothing_is_refused() -> None:
    with pytest.raises(RefusedVersion, match=r"R@100 on 128 dev queries is 0.050, but it was published with 0.900"):
        check_metrics({"R@100": 0.9}, {"R@100": 0.05}, 128)


def test_what_was_not_recorded_is_not_compared() -> None:
    check_metrics({}, {"R@100": 0.0}, 128)
