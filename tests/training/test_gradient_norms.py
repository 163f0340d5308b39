import math

import pytest
import torch
from torch import nn

from ance.training.gradient_norms import gradient_norms


@pytest.fixture
def groups() -> dict[str, list[nn.Parameter]]:
    torch.manual_seed(0)
    bottom, top, unused = nn.Linear(3, 4), nn.Linear(4, 2), nn.Linear(2, 2)
    top(torch.tanh(bottom(torch.randn(5, 3)))).square().sum().backward()
    return {
        "bottom": list(bottom.parameters()),
        "top": list(top.parameters()),
        "head": list(unused.parameters()),
    }


def norm_by_hand(parameters: list[nn.Parameter]) -> float:
    return math.sqrt(sum(value**2 for one in parameters for value in one.grad.flatten().tolist()))


def test_each_norm_is_the_root_of_the_summed_squares_of_its_group(groups):
    norms = gradient_norms(groups)
    assert norms["bottom"] == pytest.approx(norm_by_hand(groups["bottom"]), rel=1e-6)
    assert norms["top"] == pytest.approx(norm_by_hand(groups["top"]), rel=1e-6)
    assert norms["global"] == pytest.approx(norm_by_hand(groups["bottom"] + groups["top"]), rel=1e-6)


def test_a_group_without_gradients_has_norm_zero(groups):
    assert gradient_norms(groups)["head"] == 0.0
    assert gradient_norms({"head": groups["head"]}) == {"head": 0.0, "global": 0.0}


def test_gradients_are_left_as_they_are(groups):
    before = [one.grad.clone() for one in groups["bottom"]]
    gradient_norms(groups)
    assert all(torch.equal(one.grad, old) for one, old in zip(groups["bottom"], before, strict=True))


def test_a_gradient_that_is_not_a_number_shows_in_its_group_and_globally(groups):
    groups["top"][0].grad[0, 0] = torch.nan
    norms = gradient_norms(groups)
    assert math.isnan(norms["top"]) and math.isnan(norms["global"])
    assert math.isfinite(norms["bottom"])
