"""Steps of training on stderr: a bar with the time that is left on a terminal, in a file or pipe a line every tenth."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


class Steps:
    """Shows how far training is, and its loss. A context manager.

    Args:
        what: is trained.
        total: steps there will be.
    """

    def __init__(self, what: str, total: int, console: Console | None = None) -> None:
        self._what, self._total = what, total
        self._console = Console(stderr=True) if console is None else console
        columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self._bar = Progress(
            *columns, TextColumn("{task.description}"), console=self._console, disable=not self._console.is_terminal
        )
        self._task = self._bar.add_task("", total=total)
        self._losses: list[float] = []
        self._began = time.monotonic()

    def show(self, done: int, loss: float) -> None:
        """`done` steps are done, the latest with this loss."""
        self._losses.append(loss)
        self._bar.update(self._task, completed=done, description=f"loss {loss:.3f}")
        if not self._console.is_terminal and done * 10 // self._total > (done - 1) * 10 // self._total:
            mean, seconds = sum(self._losses) / len(self._losses), time.monotonic() - self._began
            self._console.print(f"{self._what}: {done} of {self._total} steps, loss {mean:.3f}, {seconds:.0f} s")
            self._losses.clear()

    def __enter__(self) -> Steps:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()
