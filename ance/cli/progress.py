"""Live progress of a run in the terminal, read from the services' metrics."""

import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from ance.cli.scrape import Samples, scrape

PLAIN_SECONDS = 10.0
"""How often a line is printed where the output is no terminal."""
RATE_WINDOW = 60
STAGES = {"warmup": "warm-up on BM25 negatives", "ance": "ANCE"}


@dataclass(slots=True)
class Status:
    """The newest known state of a run. None: not known yet."""

    stage: str = "starting"
    step: int = 0
    total_steps: int = 0
    loss: float | None = None
    gradient_norm: float | None = None
    waiting: bool = False
    async_gap: int | None = None
    async_gap_seconds: float | None = None
    refresh_step: int | None = None
    shards_done: int = 0
    shards: int = 0
    refreshes: int = 0
    serving_step: int | None = None
    dev: dict[int, float] = field(default_factory=dict)

    def update(self, trainer: Samples, indexer: Samples, search: Samples) -> None:
        """Take what the services answered; a service that did not answer changes nothing."""
        if trainer.values:
            self.step = int(trainer.get("ance_trainer_step") or 0)
            self.total_steps = int(trainer.get("ance_trainer_total_steps") or 0)
            self.loss = trainer.get("ance_trainer_loss")
            self.gradient_norm = trainer.get("ance_trainer_gradient_norm", group="global")
            self.waiting = bool(trainer.get("ance_trainer_waiting"))
            active = trainer.labelled("ance_trainer_stage_info", "stage")
            self.stage = next((STAGES[name] for name, on in active.items() if on), self.stage)
            gap = trainer.get("ance_trainer_async_gap_steps")
            self.async_gap = None if gap is None else int(gap)
            self.async_gap_seconds = trainer.get("ance_trainer_async_gap_seconds")
        if indexer.values:
            self.refreshes = int(indexer.get("ance_indexer_refreshes_total") or 0)
            self.shards = int(indexer.get("ance_indexer_refresh_shards") or 0)
            self.shards_done = int(indexer.get("ance_indexer_refresh_shards_done") or 0)
            if self.shards:
                self.refresh_step = int(indexer.get("ance_indexer_refresh_step") or 0)
            published = indexer.get("ance_indexer_published_step")
            reciprocal_rank = indexer.get("ance_indexer_dev_metric", measure="RR@10")
            if published is not None and reciprocal_rank is not None:
                self.dev[int(published)] = reciprocal_rank
        if search.values:
            step = search.get("ance_search_index_step")
            self.serving_step = None if step is None or step < 0 else int(step)


class Progress:
    """Shows a run's status: a live panel on a terminal, a line now and then elsewhere. A context manager."""

    def __init__(self, metrics: Mapping[str, str], search_url: str, title: str) -> None:
        self._metrics = metrics
        self._search_url = search_url
        self._title = title
        self._console = Console()
        self._started = time.monotonic()
        self._steps: deque[tuple[float, int]] = deque(maxlen=RATE_WINDOW)
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
        """Print a line above the live panel."""
        self._console.print(message, highlight=False)

    def update(self) -> None:
        """Ask the services and redraw."""
        answers = {
            name: scrape(self._metrics[name]) for name in ("trainer", "indexer", "search") if name in self._metrics
        }
        self.status.update(answers["trainer"], answers["indexer"], answers.get("search", Samples()))
        if not self._steps or self.status.step != self._steps[-1][1]:
            self._steps.append((time.monotonic(), self.status.step))
        if self._live is not None:
            self._live.update(self._panel(), refresh=True)
        elif time.monotonic() - self._printed >= PLAIN_SECONDS:
            self._printed = time.monotonic()
            self.say(self._line())

    def _seconds_left(self) -> float | None:
        """Time to the last training step at the recent pace."""
        if len(self._steps) < 2:
            return None
        (then, before), (now, step) = self._steps[0], self._steps[-1]
        return None if step <= before else (self.status.total_steps - step) * (now - then) / (step - before)

    def _line(self) -> str:
        status = self.status
        parts = [
            clock(time.monotonic() - self._started),
            status.stage + (" (waiting for negatives)" if status.waiting else ""),
            f"step {status.step}/{status.total_steps}",
        ]
        if status.loss is not None:
            parts.append(f"loss {status.loss:.3f}")
        if status.async_gap is not None:
            parts.append(f"async gap {status.async_gap} steps, {status.async_gap_seconds or 0:.0f} s")
        if status.shards:
            parts.append(f"refresh of step {status.refresh_step}: {status.shards_done}/{status.shards} shards")
        if status.dev:
            step, value = max(status.dev.items())
            parts.append(f"dev RR@10 {value:.3f} (version {step})")
        left = self._seconds_left()
        if left is not None:
            parts.append(f"training ends in {clock(left)}")
        return " · ".join(parts)

    def _panel(self) -> RenderableType:
        status, left = self.status, self._seconds_left()
        table = Table.grid(padding=(0, 2))
        table.add_column(style="bold")
        table.add_column(min_width=32)
        table.add_column()
        eta = f"ends in {clock(left)}" if left is not None else ""
        table.add_row("training", bar(status.step, status.total_steps), f"{status.step}/{status.total_steps} {eta}")
        table.add_row("stage", status.stage, "waiting for negatives" if status.waiting else "")
        norm = f"gradient norm {status.gradient_norm:.2f}" if status.gradient_norm is not None else ""
        table.add_row("loss", f"{status.loss:.4f}" if status.loss is not None else "-", norm)
        gap = f"{status.async_gap} steps" if status.async_gap is not None else "-"
        age = f"{status.async_gap_seconds:.0f} s" if status.async_gap_seconds is not None else ""
        table.add_row("async gap", gap, age)
        refresh = f"checkpoint {status.refresh_step}" if status.refresh_step is not None else ""
        table.add_row("refresh", bar(status.shards_done, status.shards), f"{refresh}, {status.refreshes} done")
        curve = "  ".join(f"{step}: {value:.3f}" for step, value in sorted(status.dev.items()))
        table.add_row("dev RR@10", curve or "-", "")
        if "search" in self._metrics:
            serving = f"version {status.serving_step}" if status.serving_step is not None else "no version yet"
            table.add_row("search", f"{self._search_url}/v1/search", serving)
        elapsed = clock(time.monotonic() - self._started)
        return Group(Text(f"{self._title} · {elapsed}", style="bold"), table)


def bar(done: int, total: int) -> ProgressBar:
    """A progress bar that is empty, not pulsing, while the total is unknown."""
    return ProgressBar(total=max(1, total), completed=done, width=32)


def clock(seconds: float) -> str:
    """Seconds as m:ss or h:mm:ss."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
