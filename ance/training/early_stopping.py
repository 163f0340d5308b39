"""When training has stopped to get better on the dev split."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from pydantic import NonNegativeFloat, PositiveInt

from ance.config import Section


class EarlyStoppingConfig(Section):
    """The second stage ends before its last step once its versions stop to get better on the dev split."""

    patience: PositiveInt = 5
    """Versions in a row that are no better than the best before them."""
    min_delta: NonNegativeFloat = 0.0
    """A version counts as better if it gains more than this, in units of `evaluation.best_by`."""


class Standing(NamedTuple):
    """How the versions of a run compare on the dev split."""

    best_step: int
    """Version that the others are measured against: it gained more than `min_delta` over the one before it."""
    best: float
    versions_since: int
    """Versions published after it, none of them better."""


def standing(dev: Iterable[tuple[int, float]], min_delta: float = 0.0) -> Standing | None:
    """Compare versions, given as (step, dev measure) in the order of their steps; None without any."""
    found: Standing | None = None
    for step, value in dev:
        if found is None or value > found.best + min_delta:
            found = Standing(step, value, 0)
        else:
            found = found._replace(versions_since=found.versions_since + 1)
    return found
