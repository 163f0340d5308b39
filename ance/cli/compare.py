"""`ance compare`: whether two systems differ, by the paired randomisation test on their TREC runs."""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from ance.evaluation.significance import Comparison
    from ance.evaluation.trec_files import ByQuery


def compare(
    a: Annotated[Path, typer.Argument(help="TREC run of the one system.", show_default=False)],
    b: Annotated[Path, typer.Argument(help="TREC run of the other.", show_default=False)],
    qrels: Annotated[Path, typer.Option(help="TREC qrels of both, as `ance eval --trec` writes.", show_default=False)],
    measures: Annotated[
        list[str] | None, typer.Option("--measure", help="A measure of ir-measures with a cutoff; may be repeated.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Measure two runs on the same queries, and how likely a difference as large is if the systems are the same.

    Runs of any system will do: of `ance eval --trec`, of two data formats, of another tool.
    """
    from ance.evaluation.trec_files import read_qrels, read_run

    judged, runs = read_qrels(qrels), (read_run(a), read_run(b))
    compared = compare_runs(runs, judged, measures)
    if as_json:
        print(json.dumps({name: asdict(comparison) for name, comparison in compared.items()}, indent=1))
        return
    for path, run in zip((a, b), runs, strict=True):
        if missing := judged.keys() - run.keys():
            print(f"{path} lacks {len(missing)} of {len(judged)} queries: they count as 0", file=sys.stderr)
    print(table(compared, (str(a), str(b))))


def compare_runs(
    runs: "tuple[ByQuery[float], ByQuery[float]]", qrels: "ByQuery[int]", measures: list[str] | None = None
) -> "dict[str, Comparison]":
    """Measure -> comparison of two TREC runs under the same qrels.

    Raises:
        AnceError: a run has none of the queries, or a measure cannot be used.
    """
    from ance.evaluation.measures import MEASURES
    from ance.evaluation.significance import compare as randomisation_test
    from ance.evaluation.trec_files import per_query_of_run

    names = measures or MEASURES
    of_a, of_b = (per_query_of_run(qrels, run, names) for run in runs)
    return {name: randomisation_test(of_a[name], of_b[name]) for name in names}


def table(compared: "dict[str, Comparison]", systems: tuple[str, str]) -> str:
    """A row a measure, as aligned text."""
    queries = next(iter(compared.values())).queries
    head = f"{'measure':10} {'A':>9} {'B':>9} {'B - A':>9} {'p':>9}"
    rows = [
        f"{name:10} {one.mean_a:9.4f} {one.mean_b:9.4f} {one.difference:+9.4f} {one.p:9.5f}"
        for name, one in compared.items()
    ]
    return "\n".join([f"A {systems[0]}", f"B {systems[1]}", f"{queries} queries", head, *rows])
