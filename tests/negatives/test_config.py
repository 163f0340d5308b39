"""Settings of negative mining that do not fit together are refused."""

import pytest
from pydantic import ValidationError

from ance.negatives.config import NegativesConfig


def test_the_defaults_are_those_of_the_paper() -> None:
    config = NegativesConfig()
    assert (config.candidates, config.sample, config.sampling) == (200, 20, "uniform")
    assert config.relative_margin is None and config.absolute_margin is None
    assert not (config.exclude_answers or config.momentum or config.lookahead)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"candidates": 5, "sample": 6}, r"sample \(6\) must not exceed candidates \(5\)"),
        ({"momentum": 0.5, "lookahead": 0.5}, "must leave some of the sample"),
        ({"relative_margin": 1.0}, "relative_margin"),
        ({"sampling": "softmax"}, "sampling"),
        ({"simans_a": 0}, "simans_a"),
    ],
)
def test_what_does_not_fit_is_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        NegativesConfig.model_validate(settings)


def test_scores_of_another_system_are_not_compared_or_mixed() -> None:
    config = NegativesConfig(
        sampling="simans", relative_margin=0.1, absolute_margin=1, momentum=0.2, lookahead=0.2, exclude_answers=True
    )
    assert config.without_scores() == NegativesConfig(exclude_answers=True)
    assert NegativesConfig(sampling="top").without_scores().sampling == "top"


def test_the_settings_of_an_index_are_those_that_another_ranking_goes_without() -> None:
    assert NegativesConfig(sampling="top", exclude_answers=True, candidates=30, seed=1).of_an_index == ()
    assert NegativesConfig(sampling="simans", absolute_margin=0.0, lookahead=0.2).of_an_index == (
        "sampling",
        "absolute_margin",
        "lookahead",
    )
