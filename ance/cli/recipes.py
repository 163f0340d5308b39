"""Recipes: experiments as data, `recipes/NAME.yaml` in the source tree, or a file of one's own."""

from __future__ import annotations

from collections.abc import Mapping
from os import environ
from pathlib import Path
from string import Template
from typing import Any, Literal, Self

import yaml
from pydantic import Field, PositiveFloat, ValidationError, model_validator

from ance.cli.demo import DATASET
from ance.cli.run_scores import Candidates
from ance.config import Section
from ance.errors import AnceError
from ance.runtime.contracts import RunConfig, describe

FOLDER = Path(__file__).parents[2] / "recipes"
OWN_DATA = "python-env"
System = Literal[
    "bm25", "start", "warmup", "ance", "bm25+warmup", "bm25+ance", "given+warmup", "given+ance"
]  # as `ance eval` names them
Measure = Literal["RR@10", "AP@10", "nDCG@10", "R@100", "R@1000", "Coverage@20", "Coverage@100"]
"""What `ance eval` measures."""


class Recipe(Section):
    """One experiment, and what is known of its result."""

    title: str
    source: str
    """Where settings and expected scores come from."""
    command: str
    """What runs it."""
    dataset: str
    """As for `ance prepare --dataset`; `python-env` is the demo's. `$NAME` is a variable of the environment."""
    downloads: str = ""
    """What is downloaded, and by what; empty if nothing is."""
    candidates: Candidates | None = None
    """What models re-rank besides the whole corpus, for the systems whose names begin so."""
    expected: dict[str, dict[System, dict[Measure, float | None]]] = Field(min_length=1)
    """Split -> system -> measure -> score; null where none is known, and what is measured is only shown."""
    tolerance: PositiveFloat
    """A score is reproduced if it is at most this much below the expected one."""
    notes: str = ""
    """What is done otherwise than in the source."""
    run: dict[str, Any]
    """The run's configuration, without `run` and `dataset`, which are the recipe's name."""

    @model_validator(mode="after")
    def _candidates_are_named(self) -> Self:
        for systems in self.expected.values():
            for system in systems:
                kind, plus, _ = system.partition("+")
                if plus and kind != self.candidates:
                    raise ValueError(f"system {system} re-ranks candidates: set candidates: {kind}")
        return self

    @property
    def systems(self) -> set[str]:
        """What has to be scored: a model, where what it re-ranks is expected."""
        return {system.rpartition("+")[2] for systems in self.expected.values() for system in systems}

    def spec(self, environment: Mapping[str, str] = environ) -> str:
        """What to prepare.

        Raises:
            AnceError: a variable of the environment is not set.
        """
        if self.dataset == OWN_DATA:
            return DATASET
        try:
            return Template(self.dataset).substitute(environment)
        except KeyError as error:
            (name,) = error.args
            raise AnceError(f"data set {self.dataset}: set the variable {name}; {self.downloads}") from error


class Score(Section):
    """One expected score and what was measured."""

    split: str
    system: str
    measure: str
    expected: float | None
    measured: float
    reproduced: bool | None
    """None where nothing is expected."""


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
        _held_against(recipe.tolerance, split, system, measure, expected, measured[split][system][measure])
        for split, systems in recipe.expected.items()
        for system, measures in systems.items()
        for measure, expected in measures.items()
    ]


def _held_against(
    tolerance: float, split: str, system: str, measure: str, expected: float | None, measured: float
) -> Score:
    return Score(
        split=split,
        system=system,
        measure=measure,
        expected=expected,
        measured=measured,
        reproduced=None if expected is None else measured >= expected - tolerance,
    )
