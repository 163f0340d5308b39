"""What every service does first: read its settings, open the store, read the run."""

from dataclasses import dataclass
from typing import Generic, TypeVar

from ance.data.dataset import Dataset
from ance.errors import AnceError
from ance.runtime import logs
from ance.runtime.artifacts import fetch
from ance.runtime.contracts import RunConfig
from ance.runtime.layout import RunLayout
from ance.runtime.settings import ServiceSettings, load
from ance.runtime.shutdown import Shutdown
from ance.runtime.store import Store

Settings = TypeVar("Settings", bound=ServiceSettings)


@dataclass(frozen=True, slots=True)
class OpenRun(Generic[Settings]):
    """A run as a service sees it."""

    settings: Settings
    config: RunConfig
    store: Store
    layout: RunLayout

    def open_dataset(self) -> Dataset:
        """The run's data set, verified and memory-mapped (from the store itself where it is a folder)."""
        return Dataset.open(fetch(self.store, self.layout.dataset(self.config.dataset), self.settings.cache_dir))


def open_run(
    settings_class: type[Settings], service: str, shutdown: Shutdown, *, writes: bool = True
) -> OpenRun[Settings]:
    """Read settings from the environment, set up logging and read the run's configuration from the store.

    Args:
        settings_class: of the service.
        service: its name in logs.
        shutdown: ends the wait for a store that is unreachable.
        writes: whether the service needs to write to the store.

    Raises:
        AnceError: a setting is missing or wrong, the store is not writable, or it holds no such run.
    """
    settings = load(settings_class)
    logs.configure(service, settings.log_format, level=settings.log_level, run=settings.run)
    settings.cache_dir.mkdir(parents=True, exist_ok=True)
    store = Store.open(settings.store, wait=shutdown.wait)
    if writes:
        store.check_writable()
    layout = RunLayout(settings.run)
    return OpenRun(settings, read_config(store, layout), store, layout)


def read_config(store: Store, layout: RunLayout) -> RunConfig:
    """The configuration that a run was created with.

    Raises:
        AnceError: the store holds no such run, or its configuration is not valid.
    """
    try:
        text = store.read(layout.run_yaml).decode()
    except FileNotFoundError as error:
        raise AnceError(f"{store.url}/{layout.run_yaml}: no such run; create it with `ance up`") from error
    return RunConfig.parse(text, layout.run_yaml)
