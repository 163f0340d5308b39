"""Recipes: experiments as data, `recipes/NAME.yaml` in the source tree, or a file of one's own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import Field, PositiveFloat, ValidationError

from ance.cli.demo import DATASET
from ance.config import Section
from ance.errors import AnceError
from ance.runtime.contracts import RunConfig, describe

FOLDER = Path(__file__).parents[2] / "recipes"
OWN_DATA = "python-env"
System = Literal["bm25", "start", "warmup", "ance"]
Measure = Literal["RR@10", "nDCG@10", "R@100", "R@1000"]
"""What `ance eval` measures."""


class Recipe(Section):
    """One experiment, and what is known of its result."""

    title: str
    source: str
    """Where settings and expected scores come from."""
    dataset: str
    """As for `ance prepare --dataset`; `python-env` is the demo's."""
    downloads: str = ""
    """What is downloaded, and by what; empty if nothing is."""
    expected: dict[str, dict[System, dict[Measure, float]]] = Field(min_length=1)
    """Split -> system -> measure -> score."""
    tolerance: PositiveFloat
    """A score is reproduced if it is at most this much below the expected one."""
    notes: str = ""
    """What is done otherwise than in the source."""
    run: dict[str, Any]
    """The run's configuration, without `run` and `dataset`, which are the recipe's name."""

    @property
    def spec(self) -> str:
        """What to prepare."""
        return DATASET if self.dataset == OWN_DATA else self.dataset


class Score(Section):
    """One expected score and what was measured."""

    split: str
    system: str
    measure: str
    expected: float
    measured: float
    reproduced: bool


def names() -> list[str]:
    """The recipes of the source tree."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def read_recipe(name: str) -> tuple[Recipe, str]:
    """A recipe by its name or file, and the configuration of its run, YAML.

    Raises:
        AnceError: there is none, or a key of it is not valid.
    """
    path = Path(name) if name.endswith(".yaml") else FOLDER / f"{name}.yaml"
    try:
        values = yaml.safe_load(path.read_text("utf-8"))
        recipe = Recipe.model_validate(values)
    except FileNotFoundError as error:
        known = ", ".join(names()) or "none: recipes are in the source tree, clone the repository"
        raise AnceError(f"no recipe '{name}'; give a file or one of: {known}") from error
    except yaml.YAMLError as error:
        raise AnceError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from error
    except ValidationError as error:
        raise AnceError(f"{path}: {describe(error)}") from error
    text = yaml.safe_dump({"run": path.stem, "dataset": path.stem, **recipe.run}, sort_keys=False)
    RunConfig.parse(text, str(path))
    return recipe, text


def compare(recipe: Recipe, measured: Mapping[str, Mapping[str, Mapping[str, float]]]) -> list[Score]:
    """Each expected score beside the measured one.

    Args:
        measured: split -> system -> measure -> score.
    """
    return [
        Score(
            split=split,
            system=system,
            measure=measure,
            expected=expected,
            measured=measured[split][system][measure],
            reproduced=measured[split][system][measure] >= expected - recipe.tolerance,
        )
        for split, systems in recipe.expected.items()
        for system, measures in systems.items()
        for measure, expected in measures.items()
    ]
