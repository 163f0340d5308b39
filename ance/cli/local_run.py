"""A run on this machine from start to end: processes up, progress shown, processes down."""

import time
from collections.abc import Callable

from ance.cli.progress import Progress
from ance.cli.stack import SEARCH, Stack, StackOptions, plan_stack
from ance.cli.supervisor import Supervisor
from ance.runtime.layout import RunLayout
from ance.runtime.shutdown import Shutdown
from ance.runtime.store import Store

TICK_SECONDS = 1.0
SERVING_SECONDS = 60.0
"""How long the end of a run waits for the search service to serve the last version."""
STOPPING = "stopping; the same command goes on where this one stopped"


def run_local(options: StackOptions, *, then_serve: bool, at_end: Callable[[], None] | None = None) -> bool:
    """Run the stack until the last version is published; then call `at_end`, and serve until Ctrl-C or leave.

    Of a run that is finished already only the search service is started.

    Returns:
        False when the user stopped it before the end. What was trained is kept, and the next start continues it.

    Raises:
        AnceError: a port is taken, or a process keeps dying.
    """
    stack = plan_stack(options)
    store, layout = Store.open(options.store), RunLayout(options.run)
    (options.folder / "cache").mkdir(parents=True, exist_ok=True)
    supervisor = Supervisor(options.folder / "logs")
    try:
        if not _train(options, stack, supervisor, store, layout):
            if at_end is None and is_finished(store, layout):
                return True
            print(STOPPING)
            return False
        if at_end is not None:
            at_end()
        if then_serve and options.search:
            _serve(stack, supervisor)
        return True
    except KeyboardInterrupt:  # during `at_end`, which watches for no signal
        print(STOPPING)
        return False
    finally:
        supervisor.stop()
        for event in supervisor.new_events():
            print(event)


def is_finished(store: Store, layout: RunLayout) -> bool:
    """True once the index of the run's last checkpoint is published."""
    index = store.read_pointer(layout.pointer("index"))
    return index is not None and index.final


def _train(options: StackOptions, stack: Stack, supervisor: Supervisor, store: Store, layout: RunLayout) -> bool:
    """Train to the end, and let search have the last version. False if the user stopped it before that."""
    with Shutdown() as shutdown, Progress(stack.metrics, stack.search_url, f"run {options.run}") as progress:
        was_finished = is_finished(store, layout)
        progress.say(f"run {options.run} in {store.url}, logs in {options.folder / 'logs'}")
        if was_finished:
            progress.say("the run is finished")
            progress.status.stage = "finished"
        elif options.redis_url is None:
            progress.say(f"Redis on {stack.redis_url}, e.g. for `ance queue status --redis-url`")
        for process in stack.processes:
            if not was_finished or process.name == SEARCH:
                supervisor.start(process)
        # The indexer ends after the record of its last refresh, which a report reads.
        while not (was_finished or supervisor.finished("indexer")) and not shutdown.requested:
            _tick(supervisor, progress, shutdown)
        if options.search and not shutdown.requested:
            _await_serving(supervisor, progress, shutdown, layout, store)
        return not shutdown.requested


def _tick(supervisor: Supervisor, progress: Progress, shutdown: Shutdown) -> None:
    supervisor.check()
    for event in supervisor.new_events():
        progress.say(event)
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


def _serve(stack: Stack, supervisor: Supervisor) -> None:
    print(f"serving until Ctrl-C on {stack.search_url}/v1/search, for example:")
    print(
        f"  curl -s {stack.search_url}/v1/search -H 'content-type: application/json' "
        """-d '{"query": "read a file line by line", "top_k": 3}'""",
        flush=True,
    )
    with Shutdown() as shutdown:
        while not shutdown.wait(TICK_SECONDS):
            supervisor.check()
            for event in supervisor.new_events():
                print(event, flush=True)
