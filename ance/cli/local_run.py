"""A run on this machine from start to end: processes up, progress shown, processes down."""

import signal
import time
from collections.abc import Callable

from ance.cli.progress import Progress
from ance.cli.stack import StackOptions, plan_stack
from ance.cli.supervisor import Supervisor
from ance.runtime.layout import RunLayout
from ance.runtime.shutdown import Shutdown
from ance.runtime.store import Store

TICK_SECONDS = 1.0
SERVING_SECONDS = 60.0
"""How long the end of a run waits for the search service to serve the last version."""


def run_local(options: StackOptions, *, then_serve: bool, at_end: Callable[[], None] | None = None) -> bool:
    """Run the stack until the last version is published; then call `at_end`, and serve until Ctrl-C or leave.

    Returns:
        False when the user stopped it before the end. What was trained is kept, and the next start continues it.

    Raises:
        AnceError: a port is taken, or a process keeps dying.
    """
    stack = plan_stack(options)
    store, layout = Store.open(options.store), RunLayout(options.run)
    supervisor = Supervisor(options.folder / "logs")
    (options.folder / "cache").mkdir(parents=True, exist_ok=True)
    with Shutdown((signal.SIGINT, signal.SIGTERM)) as shutdown:
        try:
            with Progress(stack.metrics, stack.search_url, f"run {options.run}") as progress:
                progress.say(f"run {options.run} in {store.url}, logs in {options.folder / 'logs'}")
                for process in stack.processes:
                    supervisor.start(process)
                ended = False
                while not ended and not shutdown.requested:
                    _tick(supervisor, progress, shutdown)
                    ended = published_final(store, layout)
                if not ended:
                    progress.say("stopping; `ance up` with the same configuration continues the run")
                    return False
                if options.search:
                    _await_serving(supervisor, progress, shutdown, layout, store)
            if at_end is not None:
                at_end()
            if then_serve and options.search and not shutdown.requested:
                print(f"serving on {stack.search_url}/v1/search until Ctrl-C")
                while not shutdown.wait(TICK_SECONDS):
                    supervisor.check()
            return True
        finally:
            supervisor.stop()


def published_final(store: Store, layout: RunLayout) -> bool:
    """True once the index of the run's last checkpoint is published."""
    index = store.read_pointer(layout.pointer("index"))
    return index is not None and index.final


def _tick(supervisor: Supervisor, progress: Progress, shutdown: Shutdown) -> None:
    supervisor.check()
    for event in supervisor.events:
        progress.say(event)
    supervisor.events.clear()
    progress.update()
    shutdown.wait(TICK_SECONDS)


def _await_serving(
    supervisor: Supervisor, progress: Progress, shutdown: Shutdown, layout: RunLayout, store: Store
) -> None:
    """Wait until search answers from the last version, so that what is left running is the result."""
    index = store.read_pointer(layout.pointer("index"))
    deadline = time.monotonic() + SERVING_SECONDS
    while index is not None and progress.status.serving_step != index.step and not shutdown.requested:
        if time.monotonic() > deadline:
            progress.say(f"search does not serve version {index.step} after {SERVING_SECONDS:.0f} s")
            return
        _tick(supervisor, progress, shutdown)
