"""The `ance` command."""

import sys

import typer

from ance.cli import (
    bench,
    compare,
    demo,
    evaluate,
    export,
    html_report,
    prepare,
    probe,
    queue,
    reproduce,
    reranker,
    runs,
    up,
)
from ance.errors import AnceError, TemporaryError
from ance.runtime.process import TEMPORARY, USER_ERROR, leave_on_sigterm

app = typer.Typer(
    name="ance",
    help="Train a dense retriever on negatives from an index that stays fresh while it learns, and search it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("demo")(demo.demo)
app.command("prepare")(prepare.prepare)
app.command("up")(up.up)
app.command("warmup")(up.warmup)
app.command("eval")(evaluate.evaluate)
app.command("compare")(compare.compare)
app.command("report")(html_report.report)
app.command("export")(export.export)
app.command("reproduce")(reproduce.reproduce)
app.command("probe")(probe.probe)
app.add_typer(runs.app, name="runs")
app.add_typer(queue.app, name="queue")
app.add_typer(reranker.app, name="reranker")
app.command("bench")(bench.bench)


def main() -> None:
    """Run the command. What the user can mend is one line and exit status 2, or 75 if it may pass by itself."""
    leave_on_sigterm()
    try:
        app(prog_name="ance")
    except (AnceError, OSError) as error:  # an OSError names the file: a folder not writable, a full disk
        print(f"ance: error: {' '.join(str(error).split())}", file=sys.stderr)
        sys.exit(TEMPORARY if isinstance(error, TemporaryError) else USER_ERROR)
