"""Growing counts on stderr: live on a terminal, only the last ones in a file or pipe."""

from types import TracebackType

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn


class Counts:
    """Shows how many of each thing are done. A context manager."""

    def __init__(self) -> None:
        columns = (SpinnerColumn(), TextColumn("{task.description}"), TextColumn("{task.completed}"))
        self._progress = Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True))
        self._tasks: dict[str, TaskID] = {}

    def show(self, what: str, done: int) -> None:
        """`done` of `what` are done; what was counted before is complete."""
        if what not in self._tasks:
            self._finish()
            self._tasks[what] = self._progress.add_task(what, total=None)
        self._progress.update(self._tasks[what], completed=done)

    def _finish(self) -> None:
        for task in self._progress.tasks:
            self._progress.update(task.id, total=task.completed)

    def __enter__(self) -> "Counts":
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self._finish()
        self._progress.stop()
