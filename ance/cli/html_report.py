"""`ance report`: what a run has learned and what it cost, as one HTML file."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ance.cli.fleet import Device, OnDevice
from ance.errors import AnceError

if TYPE_CHECKING:
    from ance.data.dataset import Dataset
    from ance.runtime.contracts import RunConfig
    from ance.runtime.layout import RunLayout
    from ance.runtime.store import Store


def report(
    store: Annotated[str, typer.Option(help="Store that holds the run.", envvar="ANCE_STORE", show_default=False)],
    run: Annotated[str, typer.Option(help="Id of the run.", envvar="ANCE_RUN", show_default=False)],
    out: Annotated[Path, typer.Option(help="File to write.")] = Path("report.html"),
    split: Annotated[str, typer.Option(help="Split of the data set to score.")] = "test",
    scores: Annotated[
        Path | None,
        typer.Option(help="What `ance eval --json` printed, or a demo's report.json: scores nothing anew."),
    ] = None,
    device: OnDevice = Device.CPU,
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads (default: all).")] = None,
) -> None:
    """Write the paper's tables and figures for a run, from its store, as one HTML file that needs no network.

    A run that is still going gets a report of what is there. Without --scores it first scores every system, as
    `ance eval` does, which takes minutes.
    """
    measured = read_scores(scores) if scores is not None else score(store, run, split, threads, device)
    write_report(store, run, out, measured, split=split, threads=threads)
    print(f"report: {out}")


def score(store: str, run: str, split: str, threads: int | None, device: Device) -> dict[str, Any] | None:
    """The scores of every system of a run that has a checkpoint, else None."""
    from ance.cli.run_scores import evaluate_splits
    from ance.runtime.layout import RunLayout
    from ance.runtime.store import Store

    if Store.open(store).read_pointer(RunLayout(run).pointer("checkpoint")) is None:
        return None
    (scores,) = evaluate_splits(store, run, [split], threads=threads, device=device)
    return scores


def read_scores(path: Path) -> dict[str, Any]:
    """What `ance eval --json` has printed to a file.

    Raises:
        AnceError: the file holds something else.
    """
    try:
        scores = json.loads(path.read_text("utf-8"))
        systems = [scores["systems"][name]["RR@10"] for name in scores["systems"]]
        if not all(isinstance(value, float | int) for value in (*systems, scores["queries"])):
            raise TypeError("a score is not a number")
        str(scores["dataset"] + scores["split"])
    except (ValueError, KeyError, TypeError) as error:
        raise AnceError(f"{path}: not the output of `ance eval --json`: {error!r}") from error
    return dict(scores)


def write_report(
    store_url: str,
    run: str,
    out: Path,
    scores: dict[str, Any] | None,
    *,
    split: str = "test",
    threads: int | None = None,
) -> None:
    """Write the report of a run, replacing the file at once.

    Args:
        store_url: holds the run.
        run: its id.
        out: file to write.
        scores: as `evaluate_splits` returns them for the split; None leaves the table out.
        split: whose queries are timed.
        threads: CPU threads (None: all).

    Raises:
        AnceError: no such run or data set, or plotly or scikit-learn is not installed.
    """
    from ance.cli.report_latency import TOP_K, measure_latencies
    from ance.cli.report_vectors import EncodedVersion, neighbourhood_of, tail_of
    from ance.data.dataset import Dataset
    from ance.evaluation.report.convergence import convergence_section
    from ance.evaluation.report.efficiency import efficiency_section
    from ance.evaluation.report.freshness import freshness_section
    from ance.evaluation.report.negatives import negatives_section
    from ance.evaluation.report.page import render
    from ance.evaluation.report.probe import probe_section
    from ance.evaluation.report.query_map import map_section
    from ance.evaluation.report.systems import systems_section
    from ance.runtime.artifacts import fetch
    from ance.runtime.layout import RunLayout
    from ance.runtime.process import limit_threads
    from ance.runtime.run import read_config
    from ance.runtime.run_history import refresh_records, step_records
    from ance.runtime.settings import DEFAULT_CACHE
    from ance.runtime.store import Store

    limit_threads(threads)
    store, layout = Store.open(store_url), RunLayout(run)
    config = read_config(store, layout)
    dataset = Dataset.open(fetch(store, layout.dataset(config.dataset), DEFAULT_CACHE))
    steps, refreshes = step_records(store, layout), refresh_records(store, layout)
    version = EncodedVersion.newest(store, layout, dataset, config.model, DEFAULT_CACHE)
    around = neighbourhood_of(version, store, layout, dataset, DEFAULT_CACHE) if version is not None else None
    latencies = measure_latencies(store, layout, config, dataset, split, DEFAULT_CACHE)
    where = f"--store {store_url} --run {run}"
    go_on = f"ance up --store {store_url} --config run.yaml"
    page = render(
        f"ANCE run {run}",
        facts(config, dataset, steps, refreshes),
        (
            systems_section(scores, f"ance eval {where}"),
            freshness_section(steps, refreshes, go_on),
            convergence_section(steps, go_on),
            probe_section(read_probe(store, layout), f"ance probe {where}"),
            negatives_section(
                tail_of(version) if version is not None else None, refreshes, config.negatives.candidates, go_on
            ),
            map_section(around, go_on),
            efficiency_section(steps, refreshes, latencies, TOP_K, go_on, f"ance reranker train {where}"),
        ),
    )
    part = out.with_name(f".{out.name}.part")
    part.write_text(page, "utf-8")
    part.replace(out)


def read_probe(store: "Store", layout: "RunLayout") -> dict[str, Any] | None:
    """What the last `ance probe` of the run found."""
    return dict(json.loads(store.read(layout.probe))) if store.exists(layout.probe) else None


def facts(
    config: "RunConfig", dataset: "Dataset", steps: list[dict[str, Any]], refreshes: list[dict[str, Any]]
) -> list[tuple[str, str]]:
    """What the run is, in a few words each."""
    training = config.training
    done = steps[-1]["step"] if steps else 0
    return [
        ("data set", f"{config.dataset}: {len(dataset.passages):,} passages"),
        ("start model", "/".join(Path(config.model.name_or_path).parts[-2:])),
        ("steps", f"{done:,} of {training.total_steps:,} ({training.warmup.steps:,} warm-up)"),
        ("batch", f"{training.batch_size * training.gradient_accumulation} queries"),
        ("loss", f"{training.ance.loss} on {training.ance.negatives} negatives"),
        ("refreshes", f"{len(refreshes):,}"),
        ("configuration", config.sha256[:12]),
        ("written", datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")),
    ]
