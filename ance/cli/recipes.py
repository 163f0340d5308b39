"""Recipes: experiments as data, `recipes/NAME.yaml` in the source tree, or a file of one's own."""

from __future__ import annotations

from collections.abc import Mapping
from os import environ
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

import yaml
from pydantic import AfterValidator, Field, PositiveFloat, ValidationError, model_validator

from ance.cli.demo import DATASET
from ance.cli.run_scores import Candidates
from ance.config import Section
from ance.errors import AnceError
from ance.evaluation.measures import BM25, COVERAGE, MEASURES
from ance.runtime.contracts import RunConfig, describe

if TYPE_CHECKING:
    from ance.cli.split_facts import SplitFacts

FOLDER = Path(__file__).parents[2] / "recipes"
OWN_DATA = "python-env"
System = Literal[
    "bm25", "start", "warmup", "ance", "bm25+warmup", "bm25+ance", "given+warmup", "given+ance"
]  # as `ance eval` names them


def _measured(name: str) -> str:
    """A measure that `ance eval` knows, or takes with --measure."""
    if name not in (*MEASURES, *COVERAGE):
        from ance.evaluation.metrics import parse_measure

        try:
            parse_measure(name)
        except AnceError as error:
            raise ValueError(str(error)) from error
    return name


Measure = Annotated[str, AfterValidator(_measured)]
Verdict = Literal["reproduced", "above", "not reproduced"]


class Recipe(Section):
    """One experiment, and what is known of its result.

    A file may name another recipe as its `base`, and then has only what differs: of `run` the settings that it changes.
    """

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
    """A score is reproduced if it differs from the expected one by at most this much."""
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

    @property
    def more_measures(self) -> list[str]:
        """What has to be measured besides the usual."""
        expected = (measure for systems in self.expected.values() for scores in systems.values() for measure in scores)
        return sorted(set(expected).difference(MEASURES, COVERAGE))

    @property
    def trains(self) -> bool:
        """Whether a model learns, or is only evaluated."""
        training = self.run["training"]
        return any(training[stage]["steps"] for stage in ("warmup", "ance"))

    def require_start(self) -> None:
        """Check that the model to start from is there, if another recipe makes it.

        Raises:
            AnceError: it is not; the message has the commands that make it.
        """
        start = Path(self.run["model"]["name_or_path"])
        if start.parts[0] in names() and not start.is_dir():
            raise AnceError(f"model.name_or_path: no folder {start} here; run, in this folder: {self.command}")

    def require_measurable(self, splits: Mapping[str, SplitFacts]) -> None:
        """Check that the data set allows to measure all that is expected.

        Args:
            splits: of the data set, by name.

        Raises:
            AnceError: a split is missing, or has no judgements, answers or candidates to measure by.
        """
        for split, systems in self.expected.items():
            if split not in splits:
                raise AnceError(f"data set {self.dataset} has no split {split}, only: {', '.join(splits)}")
            facts, expected = splits[split], {measure for measures in systems.values() for measure in measures}
            judged = set(facts.measures).issuperset(MEASURES)  # which then allows all others of ranks, too
            known = {*facts.measures, *(expected.difference(COVERAGE) if judged else ())}
            if missing := sorted(expected - known):
                raise AnceError(
                    f"data set {self.dataset}, split {split}: {', '.join(missing)} cannot be measured, "
                    f"only: {', '.join(facts.measures) or 'nothing'}; correct 'expected.{split}' or the data set"
                )
            if self.candidates is Candidates.GIVEN and not facts.candidates:
                raise AnceError(
                    f"data set {self.dataset}, split {split}: its source gave no candidates; "
                    f"leave out 'expected.{split}' or use candidates: bm25"
                )

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
    verdict: Verdict | None
    """`above` is a score that is better than expected by more than the tolerance; None where nothing is expected."""


def names() -> list[str]:
    """The recipes of the source tree."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def read_recipe(name: str) -> tuple[Recipe, str]:
    """A recipe by its name or file, and the configuration of its run, YAML.

    Raises:
        AnceError: there is none, or a key of it is not valid.
    """
    path, values = _read(name)
    try:
        recipe = Recipe.model_validate(_completed(path, values))
    except ValidationError as error:
        raise AnceError(f"{path}: {describe(error)}") from error
    text = yaml.safe_dump({"run": path.stem, "dataset": path.stem, **recipe.run}, sort_keys=False)
    _require_trained(recipe, RunConfig.parse(text, str(path)), path)
    return recipe, text


def _read(name: str) -> tuple[Path, dict[str, Any]]:
    """The file of a recipe and what is in it."""
    path = Path(name) if name.endswith(".yaml") else FOLDER / f"{name}.yaml"
    try:
        values = yaml.safe_load(path.read_text("utf-8"))
    except FileNotFoundError as error:
        known = ", ".join(names()) or "none: recipes are in the source tree, clone the repository"
        raise AnceError(f"no recipe '{name}'; give a file or one of: {known}") from error
    except yaml.YAMLError as error:
        raise AnceError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(values, dict):
        raise AnceError(f"{path}: expected a mapping of keys, found {type(values).__name__}")
    return path, values


def _completed(path: Path, values: dict[str, Any]) -> dict[str, Any]:
    """A recipe with what it takes from its base: each key that it lacks, and of `run` each setting."""
    base, own = values.get("base"), {key: value for key, value in values.items() if key != "base"}
    if base is None:
        return own
    _, inherited = _read(str(base))
    if "base" in inherited:
        raise AnceError(f"{path}: base: recipe '{base}' has a base itself; name that one, '{inherited['base']}'")
    return {**inherited, **own, "run": _changed(inherited.get("run"), own.get("run", {}))}


def _changed(settings: Any, changes: Any) -> Any:
    if not (isinstance(settings, dict) and isinstance(changes, dict)):
        return changes
    return settings | {key: _changed(settings.get(key), change) for key, change in changes.items()}


def _require_trained(recipe: Recipe, run: RunConfig, path: Path) -> None:
    steps = {"warmup": run.training.warmup.steps, "ance": run.training.ance.steps}
    for system in sorted(recipe.systems):
        if steps.get(system) == 0:
            raise AnceError(f"{path}: expects scores of {system}, but training.{system}.steps is 0: there is none")


def compare(recipe: Recipe, measured: Mapping[str, Mapping[str, Mapping[str, float]]]) -> list[Score]:
    """Each expected score beside the measured one.

    Args:
        measured: split -> system -> measure -> score, with all that is expected.
    """
    return [
        Score(
            split=split,
            system=system,
            measure=measure,
            expected=expected,
            measured=measured[split][system][measure],
            verdict=_verdict(recipe, system, expected, measured[split][system][measure]),
        )
        for split, systems in recipe.expected.items()
        for system, measures in systems.items()
        for measure, expected in measures.items()
    ]


def _verdict(recipe: Recipe, system: str, expected: float | None, measured: float) -> Verdict | None:
    """What no training precedes has to be met from both sides; a model that has learnt may be better than expected."""
    if expected is None:
        return None
    if abs(measured - expected) <= recipe.tolerance:
        return "reproduced"
    learnt = system != BM25 and recipe.trains
    return "above" if learnt and measured > expected else "not reproduced"
