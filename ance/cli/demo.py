"""`ance demo`: the whole loop on the Python packages of this machine, with a report at the end."""

import json
import time
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any

import typer

from ance.cli.evaluate import evaluate_run, table
from ance.cli.prepare import prepare_dataset

CONFIG = "demo.yaml"


def demo(
    folder: Annotated[Path, typer.Option(help="Folder of the demo: store, logs, report.")] = Path("demo"),
    dataset: Annotated[str, typer.Option(help="Data set, as for `ance prepare`.")] = "python-env:passages=8000",
    config: Annotated[
        Path | None, typer.Option(help="Another run configuration; `minilm` names the bundled encoder.")
    ] = None,
    inferencers: Annotated[int, typer.Option(min=1, help="Inferencer processes.")] = 1,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port of the search service.")] = 8000,
    exit_at_end: Annotated[bool, typer.Option("--exit", help="Leave after the report.")] = False,
) -> None:
    """Prepare a data set, train on asynchronously refreshed negatives, score the test split once, serve.

    A run that was interrupted is continued. A finished one is kept: remove its folder to start again.
    """
    import yaml

    from ance.cli.create_run import create_run
    from ance.cli.local_run import run_local
    from ance.cli.models import resolve_model
    from ance.cli.stack import StackOptions, require_free_port
    from ance.cli.up import read
    from ance.runtime.layout import RunLayout, manifest_of
    from ance.runtime.store import Store

    started = time.monotonic()
    require_free_port(port)
    folder = folder.resolve()
    store_url = f"file://{folder}/store"
    text = read(config) if config else files("ance.cli").joinpath(CONFIG).read_text()
    values = yaml.safe_load(text)
    values["model"]["name_or_path"] = resolve_model(values["model"]["name_or_path"])
    store = Store.open(store_url, create=True)
    if not store.exists(manifest_of(RunLayout.dataset(values["dataset"]))):
        print(f"preparing {dataset}")
        prepare_dataset(dataset, store_url, values["model"]["name_or_path"], name=values["dataset"])
    run = create_run(store, yaml.safe_dump(values, sort_keys=False), str(config or CONFIG))

    def report() -> None:
        print("scoring the test split: BM25, start, warm-up and ANCE")
        scores = evaluate_run(store_url, run.run, "test", trec=folder / "runs")
        full = {
            **scores,
            **history(store, RunLayout(run.run)),
            "seconds": round(time.monotonic() - started, 1),
        }
        (folder / "report.json").write_text(json.dumps(full, indent=1) + "\n")
        print(table(scores))
        print(summary(full))
        print(f"report: {folder / 'report.json'}, TREC runs: {folder / 'runs'}")

    options = StackOptions(store_url, run.run, folder, inferencers, port)
    if not run_local(options, then_serve=not exit_at_end, at_end=report):
        raise typer.Exit(130)


def history(store: Any, layout: Any) -> dict[str, Any]:
    """The refreshes of a run and the async gap that its trainer saw, from the store."""
    import numpy as np

    refreshes = sorted(
        (json.loads(store.read(key)) for key in store.list(layout.refresh_records)), key=lambda r: r["step"]
    )
    records = [
        json.loads(line) for key in store.list(layout.all_series) for line in store.read(key).decode().splitlines()
    ]
    gaps = [record for record in records if record["async_gap"] is not None]
    last_training = max((record["time"] for record in records), default=0.0)

    def spread(name: str) -> dict[str, float]:
        values = np.array([record[name] for record in gaps])
        return {"mean": round(float(values.mean()), 1), "max": round(float(values.max()), 1)}

    return {
        "refreshes": refreshes,
        "refreshes_during_training": sum(refresh["negatives_at"] < last_training for refresh in refreshes),
        "async_gap": {"steps": spread("async_gap"), "seconds": spread("async_gap_seconds")} if gaps else {},
    }


def summary(report: dict[str, Any]) -> str:
    """The report's other figures in a line or two."""
    gap = report["async_gap"]
    lines = [
        f"{report['refreshes_during_training']} refreshes during training, {len(report['refreshes'])} in all; "
        f"{report['seconds']:.0f} s from start to report"
    ]
    if gap:
        steps, seconds = gap["steps"], gap["seconds"]
        lines.append(
            f"async gap: mean {steps['mean']} and at most {steps['max']:.0f} steps "
            f"({seconds['mean']:.0f} and {seconds['max']:.0f} s)"
        )
    return "\n".join(lines)
