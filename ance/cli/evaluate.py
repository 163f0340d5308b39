"""`ance eval`: BM25, the start model, the warm-up model and the ANCE model on one split or several."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from ance.cli.fleet import Device, OnDevice
from ance.cli.run_scores import Candidates, evaluate_splits


def evaluate(
    store: Annotated[str, typer.Option(help="Store that holds the run.", show_default=False)],
    run: Annotated[str, typer.Option(help="Id of the run.", show_default=False)],
    split: Annotated[
        list[str] | None, typer.Option(help="Split of the data set to score; may be repeated. [default: test]")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
    trec: Annotated[Path | None, typer.Option(help="Folder for a TREC run of each system, and the qrels.")] = None,
    candidates: Annotated[
        Candidates | None,
        typer.Option(
            help="Also let each model re-rank candidates: `bm25` for BM25's first passages, `given` for those that the "
            "data set came with, such as MS MARCO's top 1000."
        ),
    ] = None,
    against: Annotated[
        str | None, typer.Option(help="Compare each system with this one, by the paired randomisation test.")
    ] = None,
    measure: Annotated[
        list[str] | None,
        typer.Option(
            help="A measure of ir-measures besides the usual ones, such as RR@100, or RR(rel=2)@10 where grade 1 does "
            "not count; may be repeated."
        ),
    ] = None,
    best: Annotated[
        bool, typer.Option("--best", help="Let `ance` be the version that is best on dev, not the newest.")
    ] = False,
    rerank: Annotated[
        int, typer.Option(min=0, help="Also score the run's reranker on BM25's first N passages (0: not).")
    ] = 0,
    device: OnDevice = Device.CPU,
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads (default: all).")] = None,
) -> None:
    """Score BM25, the start, the warm-up and the ANCE model by exact search over the whole corpus.

    The corpus is encoded once a model, however many splits are scored.
    """
    reports = evaluate_splits(
        store,
        run,
        split or ["test"],
        trec=trec,
        rerank_depth=rerank,
        candidates=candidates,
        against=against,
        measures=measure or (),
        best=best,
        threads=threads,
        device=device,
    )
    if as_json:
        print(json.dumps(reports if len(reports) > 1 else reports[0], indent=1))
    else:
        print("\n\n".join(table(report) for report in reports))


def table(report: dict[str, Any]) -> str:
    """The report as aligned text; p is of a difference as large between equal systems."""
    title = f"{report['dataset']}, {report['split']}, {report['queries']} queries"
    left_out = report.get("left_out", 0)  # a demo that finished long ago has none
    if 0 < left_out < report["queries"]:
        title += f", {left_out} of them left out: they have no relevant passage"
    names = list(dict.fromkeys(name for values in report["systems"].values() for name in values))
    widths = {name: max(10, len(name) + 2) for name in names}
    head = f"{'system':12}" + "".join(f"{name:>{width}}" for name, width in widths.items())
    rows = [
        f"{system:12}" + "".join(f"{_value(values, name):>{width}}" for name, width in widths.items())
        for system, values in report["systems"].items()
    ]
    for system, measures in report.get("against", {}).get("compared", {}).items():
        differences = ", ".join(f"{name} {one['difference']:+.4f} (p {one['p']:.4f})" for name, one in measures.items())
        rows.append(f"{system} - {report['against']['system']}: {differences}")
    return "\n".join([title, head, *rows])


def _value(values: dict[str, float], name: str) -> str:
    return f"{values[name]:.4f}" if name in values else "-"
