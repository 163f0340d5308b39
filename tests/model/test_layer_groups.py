"""Parameters by depth."""

from __future__ import annotations

import pytest

from ance.model.layer_groups import layer_groups
from tests.model.conftest import Start


@pytest.mark.parametrize("kind", ["bert", "roberta", "distilbert"])
def test_every_parameter_is_in_exactly_one_group(start: Start, kind: str) -> None:
    model = start(kind, projection_dim=16)
    groups = layer_groups(model)
    assert list(groups) == ["embeddings", "bottom", "middle", "top", "head"]
    grouped = [id(parameter) for parameters in groups.values() for parameter in parameters]
    assert sorted(grouped) == sorted(map(id, model.parameters()))


def test_thirds_follow_the_depth(start: Start) -> None:
    model = start("bert")
    groups = layer_groups(model)
    for depth, group in enumerate(["bottom", "middle", "top"]):
        expected = {id(parameter) for parameter in model.backbone.encoder.layer[depth].parameters()}
        assert {id(parameter) for parameter in groups[group]} == expected


def test_two_layers_are_bottom_and_top(start: Start) -> None:
    assert list(layer_groups(start("bert", layers=2))) == ["embeddings", "bottom", "top"]


def test_a_single_layer_is_the_top(start: Start) -> None:
    assert list(layer_groups(start("bert", layers=1))) == ["embeddings", "top"]
