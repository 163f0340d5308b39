"""The `ance` command."""

import sys

import typer

from ance.cli import bench, demo, evaluate, prepare, queue, up
from ance.errors import AnceError

USER_ERROR = 2

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
app.add_typer(queue.app, name="queue")
app.command("bench")(bench.bench)


def main() -> None:
    """Run the command; what the user can mend is one line and exit status 2, never a traceback."""
    try:
        app(prog_name="ance")
    except (AnceError, OSError) as error:  # an OSError names the file: a folder not writable, a full disk
        print(f"ance: error: {' '.join(str(error).split())}", file=sys.stderr)
        sys.exit(USER_ERROR)
