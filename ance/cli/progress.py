"""Live progress of a run in the terminal, read from the services' metrics."""

import time
from collections.abc import Mapping
from types import TracebackType

from rich.columns import Columns
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from ance.cli.scrape import Samples, scrape
from ance.cli.status import Status

PLAIN_SECONDS = 10.0
"""How often a line is printed where the output is no terminal."""
CURVE_VERSIONS = 24
"""Newest versions whose dev metric is shown."""
SERVICES = ("trainer", "indexer", "search")
"""What `Status.update` takes, in its order."""


class Progress:
    """Shows a run's status: a live panel on a terminal, a line now and then elsewhere. A context manager."""

    def __init__(self, metrics: Mapping[str, str], search_url: str, title: str) -> None:
        self._metrics = metrics
        self._search_url = search_url
        self._title = title
        self._console = Console()
        self._started = time.monotonic()
        self._printed = 0.0
        self._live = Live(console=self._console, auto_refresh=False) if self._console.is_terminal else None
        self.status = Status()

    def __enter__(self) -> "Progress":
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def say(self, message: str) -> None:
        """Print a line above the live panel. It is never cut or broken, so that a log has one event a line."""
        self._console.print(message, markup=False, emoji=False, highlight=False, soft_wrap=True)

    def update(self) -> None:
        """Ask the services and redraw."""
        answers = (scrape(self._metrics[name]) if name in self._metrics else Samples() for name in SERVICES)
        self.status.update(*answers)
        elapsed = time.monotonic() - self._started
        if self._live is not None:
            search_url = self._search_url if "search" in self._metrics else None
            title = f"{self._title} · {clock(elapsed)}"
            self._live.update(panel(self.status, title, search_url), refresh=True)
        elif time.monotonic() - self._printed >= PLAIN_SECONDS:
            self._printed = time.monotonic()
            self.say(f"{clock(elapsed)} · {line(self.status)}")


def line(status: Status) -> str:
    """The status on one line; what is not known yet is left out."""
    doing = doing_now(status)
    parts = [status.stage + (f" ({doing})" if doing else "")]
    if status.total_steps:
        parts.append(f"step {status.step}/{status.total_steps}")
    if status.loss is not None:
        parts.append(f"loss {status.loss:.3f}")
    if status.async_gap is not None:
        parts.append(f"async gap {status.async_gap} steps, {status.async_gap_seconds or 0:.0f} s")
    if status.shards:
        parts.append(f"refresh of step {status.refresh_step}: {status.shards_done}/{status.shards} shards")
    if status.dev:
        step, value = max(status.dev.items())
        parts.append(f"dev RR@10 {value:.3f} (version {step})")
    left = status.seconds_left()
    if left is not None:
        parts.append(f"training ends in {clock(left)}")
    return " · ".join(parts)


def doing_now(status: Status) -> str:
    """What is out of the ordinary in training at the moment, if anything."""
    if status.stopping:
        return "ends early, no gain on dev"
    return "waiting for negatives" if status.waiting else ""


def panel(status: Status, title: str, search_url: str | None) -> RenderableType:
    """The status as a table with progress bars, at most 80 columns wide. `search_url` is None without search."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold")
    table.add_column(min_width=32)
    table.add_column()
    left = status.seconds_left()
    steps = f"{status.step}/{status.total_steps}" if status.total_steps else ""
    ends = f", ends in {clock(left)}" if left is not None else ""
    table.add_row("stage", status.stage, doing_now(status))
    table.add_row("training", bar(status.step, status.total_steps), steps + ends)
    norm = f"gradient norm {status.gradient_norm:.2f}" if status.gradient_norm is not None else ""
    table.add_row("loss", f"{status.loss:.4f}" if status.loss is not None else "-", norm)
    gap = f"{status.async_gap} steps" if status.async_gap is not None else "-"
    age = f"{status.async_gap_seconds:.0f} s" if status.async_gap_seconds is not None else ""
    table.add_row("async gap", gap, age)
    refresh = [f"of step {status.refresh_step}"] if status.refresh_step is not None else []
    table.add_row("refresh", bar(status.shards_done, status.shards), ", ".join([*refresh, f"{status.refreshes} done"]))
    if search_url is not None:
        serving = f"version {status.serving_step}" if status.serving_step is not None else "no version yet"
        table.add_row("search", f"{search_url}/v1/search", serving)
    return Group(Text(title, style="bold"), table, *_curve(status))


def _curve(status: Status) -> list[RenderableType]:
    """Dev RR@10 by version, on as many lines as it needs."""
    if not status.dev:
        return []
    shown = sorted(status.dev.items())[-CURVE_VERSIONS:]
    values = [f"{step}: {value:.3f}" for step, value in shown]
    return [Text.assemble(("dev RR@10", "bold"), " by version"), Columns(values, padding=(0, 2))]


def bar(done: int, total: int) -> ProgressBar:
    """A progress bar that is empty, not pulsing, while the total is unknown."""
    return ProgressBar(total=max(1, total), completed=done, width=32)


def clock(seconds: float) -> str:
    """Seconds as m:ss or h:mm:ss."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
