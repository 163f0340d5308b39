"""`ance queue`: what waits, what is being worked on, and the tasks that could not be done."""

from typing import TYPE_CHECKING, Annotated

import typer

from ance.errors import AnceError

if TYPE_CHECKING:
    from ance.runtime.queue import TaskQueue
    from ance.runtime.queue.dead_letters import DeadLetters

app = typer.Typer(help="Look into the work queue of a run.", no_args_is_help=True)
dead = typer.Typer(help="Tasks that failed on every delivery.", no_args_is_help=True)
app.add_typer(dead, name="dead")

Run = Annotated[str, typer.Option(help="Id of the run.", show_default=False)]
RedisUrl = Annotated[
    str, typer.Option(help="URL of Redis; `ance up` and `ance demo` print theirs.", envvar="ANCE_REDIS_URL")
]
TaskId = Annotated[str, typer.Argument(help="Id of a task, or `all`.")]
DEFAULT_URL = "redis://127.0.0.1:6379/0"
ALL = "all"
GRACE_SECONDS = 3.0
"""A person waits for the answer: an unreachable Redis is said soon."""


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
        error = " ".join(letter.error.split())
        print(f"{letter.task_id}  attempts {letter.attempts}  last worker {letter.last_worker}  {error}")


@dead.command("requeue")
def requeue(run: Run, task: TaskId = ALL, redis_url: RedisUrl = DEFAULT_URL) -> None:
    """Put dead tasks back into the queue, with a fresh count of deliveries."""
    print(f"put back: {len(_dead(run, redis_url, task).requeue(_one_or_all(task)))}")


@dead.command("drop")
def drop(run: Run, task: TaskId, redis_url: RedisUrl = DEFAULT_URL) -> None:
    """Forget dead tasks."""
    print(f"dropped: {_dead(run, redis_url, task).drop(_one_or_all(task))}")


def _one_or_all(task: str) -> str | None:
    return None if task == ALL else task


def _dead(run: str, redis_url: str, task: str) -> "DeadLetters":
    """The dead letters, of which `task` is one unless it is `all`."""
    letters = _queue(run, redis_url).dead_letters
    if task != ALL and task not in {letter.task_id for letter in letters}:
        raise AnceError(f"run '{run}' has no dead task '{task}'; `ance queue dead list --run {run}` shows them")
    return letters


def _queue(run: str, redis_url: str) -> "TaskQueue":
    from ance.runtime.queue import TaskQueue
    from ance.runtime.redis.client import connect
    from ance.runtime.redis.settings import RedisSettings
    from ance.runtime.settings import load

    # Credentials only by the environment: arguments are for everybody on the machine to see.
    settings = load(RedisSettings).model_copy(update={"redis_url": redis_url})
    return TaskQueue(connect(settings.redis, grace_seconds=GRACE_SECONDS), run, "ance-cli")
