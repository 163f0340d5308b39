"""`ance queue`: what waits, what is being worked on, and the tasks that could not be done."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from ance.runtime.queue import TaskQueue

app = typer.Typer(help="Look into the work queue of a run.", no_args_is_help=True)
dead = typer.Typer(help="Tasks that failed on every delivery.", no_args_is_help=True)
app.add_typer(dead, name="dead")

Run = Annotated[str, typer.Option(help="Id of the run.", show_default=False)]
RedisUrl = Annotated[str, typer.Option(help="URL of Redis.", envvar="ANCE_REDIS_URL")]
TaskId = Annotated[str, typer.Argument(help="Id of a task, or `all`.")]
DEFAULT_URL = "redis://127.0.0.1:6379/0"


@app.command("status")
def status(run: Run, redis_url: RedisUrl = DEFAULT_URL) -> None:
    """Tasks that wait, are being worked on, and are dead."""
    counts = _queue(run, redis_url).counts()
    print(
        f"waiting {counts.waiting}, pending {counts.pending}, dead {counts.dead}, "
        f"oldest {counts.oldest_age_seconds:.0f} s"
    )


@dead.command("list")
def list_dead(run: Run, redis_url: RedisUrl = DEFAULT_URL) -> None:
    """Show the dead tasks, one a line."""
    for letter in _queue(run, redis_url).dead_letters:
        print(f"{letter.task_id}  attempts {letter.attempts}  {letter.last_worker}  {letter.error}")


@dead.command("requeue")
def requeue(run: Run, task: TaskId = "all", redis_url: RedisUrl = DEFAULT_URL) -> None:
    """Put dead tasks back into the queue, with a fresh count of deliveries."""
    print(f"put back: {len(_queue(run, redis_url).dead_letters.requeue(_one_or_all(task)))}")


@dead.command("drop")
def drop(run: Run, task: TaskId, redis_url: RedisUrl = DEFAULT_URL) -> None:
    """Forget dead tasks."""
    print(f"dropped: {_queue(run, redis_url).dead_letters.drop(_one_or_all(task))}")


def _one_or_all(task: str) -> str | None:
    return None if task == "all" else task


def _queue(run: str, redis_url: str) -> "TaskQueue":
    from ance.runtime.queue import TaskQueue
    from ance.runtime.redis_client import connect

    return TaskQueue(connect(redis_url), run, "ance-cli")
