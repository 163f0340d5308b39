"""What every service does first: read its settings, open the store, read the run."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from ance.data.dataset import Dataset
from ance.errors import AnceError
from ance.runtime import logs, tracing
from ance.runtime.artifacts import fetch
from ance.runtime.artifacts.cache import cache_at
from ance.runtime.contracts import RunConfig
from ance.runtime.layout import RunLayout
from ance.runtime.process import TERMINATED
from ance.runtime.settings import ServiceSettings, load
from ance.runtime.shutdown import Shutdown
from ance.runtime.store import Store
from ance.runtime.store.retries import Wait

Settings = TypeVar("Settings", bound=ServiceSettings)
Settings_co = TypeVar("Settings_co", bound=ServiceSettings, covariant=True)

log = logs.get_logger(__name__)

LOOK_SECONDS = 2.0
"""How often a service that waits for its run looks for it."""


class NoSuchRun(AnceError):
    """The store holds no run of this name."""


@dataclass(frozen=True, slots=True)
class OpenRun(Generic[Settings_co]):
    """A run as a service sees it."""

    settings: Settings_co
    config: RunConfig
    store: Store
    layout: RunLayout

    def open_dataset(self) -> Dataset:
        """The run's data set, verified and memory-mapped (from the store itself where it is a folder)."""
        return Dataset.open(fetch(self.store, self.layout.dataset(self.config.dataset), self.settings.cache_dir))


def begin(settings_class: type[Settings], service: str) -> Settings:
    """Read the settings of a service from the environment and set up logging and tracing.

    Raises:
        AnceError: a setting is missing or wrong.
    """
    settings = load(settings_class)
    logs.configure(service, settings.log_format, level=settings.log_level, run=settings.run)
    tracing.start(service, settings.run)
    settings.cache_dir.mkdir(parents=True, exist_ok=True)
    cache_at(settings.cache_dir.absolute()).limit = settings.cache_bytes
    return settings


def find_run(
    settings: Settings,
    shutdown: Shutdown,
    *,
    writes: bool = True,
    store_wait: Wait | None = None,
    beat: Callable[[], object] = lambda: None,
) -> OpenRun[Settings]:
    """Open the store and read the run's configuration, waiting `settings.run_wait_seconds` for it to be created.

    Args:
        settings: of the service.
        shutdown: ends the wait for the run, and for a store that is unreachable.
        writes: whether the service needs to write to the store.
        store_wait: waits between two tries of a store that is unreachable (None: until shutdown is requested).
        beat: called at every look for the run, and while the store is away: the service is alive.

    Raises:
        AnceError: the store is not writable, or it holds no such run.
        SystemExit: shutdown was requested while waiting.
    """
    wait = store_wait or shutdown.wait

    def wait_alive(seconds: float) -> object:
        beat()
        return wait(seconds)

    store = Store.open(settings.store, wait=wait_alive)
    if writes:
        store.check_writable()
    layout = RunLayout(settings.run)
    return OpenRun(settings, _await_config(store, layout, settings.run_wait_seconds, shutdown, beat), store, layout)


def open_run(
    settings_class: type[Settings],
    service: str,
    shutdown: Shutdown,
    *,
    writes: bool = True,
    store_wait: Wait | None = None,
) -> OpenRun[Settings]:
    """`begin` and `find_run` in one, for a service that has nothing to say in between."""
    return find_run(begin(settings_class, service), shutdown, writes=writes, store_wait=store_wait)


def _await_config(
    store: Store, layout: RunLayout, seconds: float, shutdown: Shutdown, beat: Callable[[], object]
) -> RunConfig:
    deadline = time.monotonic() + seconds
    said = False
    while True:
        try:
            return read_config(store, layout)
        except NoSuchRun as error:
            if time.monotonic() >= deadline:
                raise
            if not said:
                log.info("waiting for the run to be created: %s", error)
                said = True
        beat()
        if shutdown.wait(LOOK_SECONDS):
            raise SystemExit(TERMINATED)


def read_config(store: Store, layout: RunLayout) -> RunConfig:
    """The configuration that a run was created with.

    Raises:
        NoSuchRun: the store holds no such run.
        AnceError: its configuration is not valid.
    """
    try:
        text = store.read(layout.run_yaml).decode()
    except FileNotFoundError as error:
        raise NoSuchRun(
            f"{store.url}/{layout.run_yaml}: no such run; create it with `ance up` or `ance runs create`"
        ) from error
    return RunConfig.parse(text, layout.run_yaml)
