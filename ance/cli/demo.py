"""`ance demo`: the whole loop on the Python packages of this machine, with a report at the end."""

import json
import time
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any

import typer

from ance.cli.evaluate import table
from ance.cli.experiment import Experiment
from ance.cli.fleet import Device, Fleet, Inferencers, Trainers, WhereToRun
from ance.cli.html_report import write_report
from ance.cli.report import history, summary
from ance.cli.up import read

CONFIG = "demo.yaml"
# Named, so that what else is installed does not change the demo.
PACKAGES = (
    "torch+transformers+numpy+scipy+scikit-learn+networkx+sympy+pydantic+rich+fastapi+starlette+redis"
    "+huggingface-hub+fsspec+requests+urllib3+click+jinja2+joblib+stdlib"
)
DATASET = f"python-env:passages=8000,packages={PACKAGES}"
REPORT, PAGE = "report.json", "report.html"


def demo(
    folder: Annotated[Path, typer.Option(help="Folder of the demo: store, logs, report.")] = Path("demo"),
    dataset: Annotated[
        str,
        typer.Option(help="Data set, as for `ance prepare`.", show_default="8,000 functions of the demo's packages"),
    ] = DATASET,
    config: Annotated[
        Path | None, typer.Option(help="A run configuration of your own instead of the demo's.", show_default=False)
    ] = None,
    inferencers: Inferencers = 1,
    trainers: Trainers = 1,
    device: WhereToRun = Device.CPU,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port of the search service.")] = 8000,
    exit_at_end: Annotated[bool, typer.Option("--exit", help="Leave after the report instead of serving.")] = False,
) -> None:
    """Prepare a data set, train on asynchronously refreshed negatives, score the test split once, serve.

    Interrupted with Ctrl-C and started again, it continues. A finished demo shows its report and serves; remove
    its folder to start afresh.
    """
    from ance.runtime.layout import RunLayout

    source = str(config or CONFIG)
    text = read(config) if config else own_config(dataset)
    experiment = Experiment.create(folder, text, source, dataset, Fleet(inferencers, trainers, device), port)
    folder = experiment.folder

    def report() -> None:
        print("scoring the test split: BM25, start, warm-up and ANCE", flush=True)
        (scores,) = experiment.score(["test"])
        seconds = round(time.monotonic() - experiment.started, 1)
        full = {**scores, **history(experiment.store, RunLayout(experiment.run.run)), "seconds": seconds}
        (folder / REPORT).write_text(json.dumps(full, indent=1) + "\n")
        write_report(experiment.store.url, experiment.run.run, folder / PAGE, scores)
        show(full, folder)

    finished = (folder / REPORT).exists()
    if finished:
        print(f"{folder} holds a finished demo; its report follows. Remove the folder to start afresh.")
        show(json.loads((folder / REPORT).read_text()), folder)
        if exit_at_end:
            return
    at_end = None if finished else report
    if not experiment.train(then_serve=not exit_at_end, at_end=at_end):
        raise typer.Exit(130)


def own_config(dataset: str) -> str:
    """The demo's run configuration for a data set, which it calls as its source does.

    Raises:
        AnceError: there is no such data set.
    """
    import yaml

    from ance.data.open_source import open_source

    values = yaml.safe_load(files("ance.cli").joinpath(CONFIG).read_text("utf-8"))
    return yaml.safe_dump(values | {"dataset": open_source(dataset).name}, sort_keys=False)


def show(report: dict[str, Any], folder: Path) -> None:
    """Print a report and where it is."""
    print(table(report))
    print(summary(report))
    print(f"report: {folder / PAGE}, as data {folder / REPORT}, TREC runs {folder / 'runs'}", flush=True)
