"""The `ance` command."""

import sys

import typer

from ance.cli import bench, demo, evaluate, prepare, queue, up
from ance.errors import AnceError

app = typer.Typer(
    name="ance",
    help="Train a dense retriever on negatives from an index that stays fresh while it learns, and search it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("prepare")(prepare.prepare)
app.command("warmup")(up.warmup)
app.command("up")(up.up)
app.command("demo")(demo.demo)
app.command("eval")(evaluate.evaluate)
app.command("bench")(bench.bench)
app.add_typer(queue.app, name="queue")


def main() -> None:
    """Run the command; what the user can mend is one line and exit status 2, never a traceback."""
    try:
        app()
    except AnceError as error:
        print(f"ance: error: {' '.join(str(error).split())}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
