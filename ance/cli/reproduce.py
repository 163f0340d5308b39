"""`ance reproduce`: an experiment of the paper, or of this project, by its name."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ance.cli.fleet import Device, Fleet, Inferencers, Trainers, WhereToRun

if TYPE_CHECKING:
    from ance.cli.recipes import Score

SCORES = "scores.json"
_UNKNOWN = "no score is known"


def reproduce(
    name: Annotated[
        str | None, typer.Argument(help="A recipe's name or file; without one, recipes are listed.", show_default=False)
    ] = None,
    folder: Annotated[
        Path | None, typer.Option(help="Folder for store, logs and scores (default: the recipe's name).")
    ] = None,
    inferencers: Inferencers = 1,
    trainers: Trainers = 1,
    device: WhereToRun = Device.CPU,
) -> None:
    """Run a recipe on this machine and print what is expected beside what was measured.

    Interrupted with Ctrl-C and started again, it continues. Exit status 1 if a score is not reproduced: below its
    expectation by more than the recipe's tolerance or, where nothing was trained for it as for BM25, above. A trained
    model's score that is as far above its expectation is shown as such.
    """
    from ance.cli.experiment import Experiment
    from ance.cli.recipes import compare, names, read_recipe

    if name is None:
        for known in names():
            recipe, _ = read_recipe(known)
            print(f"{known:24} {recipe.title}; downloads: {recipe.downloads or 'nothing'}")
        return
    recipe, text = read_recipe(name)
    print(f"{recipe.title}\n  source: {recipe.source}\n  downloads: {recipe.downloads or 'nothing'}", flush=True)
    recipe.require_start()
    fleet = Fleet(inferencers, trainers, device)
    experiment = Experiment.create(folder or Path(Path(name).stem), text, name, recipe.spec(), fleet)
    recipe.require_measurable(experiment.splits())
    if not experiment.train():
        raise typer.Exit(130)
    reports = experiment.score(list(recipe.expected), recipe.systems, recipe.candidates, recipe.more_measures)
    measured = {report["split"]: report["systems"] for report in reports}
    scores = compare(recipe, measured)
    record = {"recipe": name, "tolerance": recipe.tolerance, "scores": [score.model_dump() for score in scores]}
    (experiment.folder / SCORES).write_text(json.dumps(record, indent=1) + "\n")
    print(table(scores, recipe.tolerance))
    if any(score.verdict == "not reproduced" for score in scores):
        raise typer.Exit(1)


def table(scores: "list[Score]", tolerance: float) -> str:
    """Expected against measured, as aligned text."""
    head = f"{'split':14} {'system':12} {'measure':12} {'expected':>9} {'measured':>9}"
    rows = [
        f"{score.split:14} {score.system:12} {score.measure:12} {_expected(score):>9} {score.measured:9.4f}  "
        f"{score.verdict or _UNKNOWN}"
        for score in scores
    ]
    return "\n".join([head, *rows, f"tolerance {tolerance:g}"])


def _expected(score: "Score") -> str:
    return "-" if score.expected is None else f"{score.expected:.4f}"
