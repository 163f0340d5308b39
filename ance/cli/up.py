"""`ance up` and `ance warmup`: a run on this machine."""

from pathlib import Path
from typing import Annotated

import typer

from ance.cli.fleet import Device, Fleet, Inferencers, Trainers, WhereToRun
from ance.errors import AnceError

Config = Annotated[Path, typer.Option(help="The run's configuration, a YAML file.", show_default=False)]
StoreUrl = Annotated[str, typer.Option(help="Store of the run, e.g. file:///data/ance.", show_default=False)]
Folder = Annotated[Path, typer.Option(help="Folder for logs and caches.")]
RedisUrl = Annotated[str | None, typer.Option(help="An existing Redis; by default one is started.")]
Port = Annotated[int, typer.Option(min=1, max=65535, help="Port of the search service.")]


def up(
    config: Config,
    store: StoreUrl,
    folder: Folder = Path("ance-local"),
    inferencers: Inferencers = 1,
    trainers: Trainers = 1,
    device: WhereToRun = Device.CPU,
    port: Port = 8000,
    redis_url: RedisUrl = None,
    exit_at_end: Annotated[bool, typer.Option("--exit", help="Leave at the end instead of serving.")] = False,
) -> None:
    """Start every service on this machine, train, and serve the result.

    Interrupted with Ctrl-C and started again with the same configuration, the run continues.
    """
    fleet = Fleet(inferencers, trainers, device)
    start(read(config), str(config), store, folder, fleet, port, redis_url, then_serve=not exit_at_end)


def warmup(
    config: Config,
    store: StoreUrl,
    folder: Folder = Path("ance-local"),
    trainers: Trainers = 1,
    device: WhereToRun = Device.CPU,
    redis_url: RedisUrl = None,
) -> None:
    """Train only the warm-up stage of a configuration, as a run of its own named RUN-warmup."""
    import yaml

    from ance.runtime.contracts import RunConfig

    run = RunConfig.parse(read(config), str(config))
    values = run.model_dump(mode="json")
    values["run"] += "-warmup"
    values["training"] |= {"ance": {**values["training"]["warmup"], "steps": 0}, "early_stopping": None}
    fleet = Fleet(trainers=trainers, device=device)
    start(yaml.safe_dump(values), str(config), store, folder, fleet, 8000, redis_url, then_serve=False, search=False)


def read(path: Path) -> str:
    """The text of a configuration file.

    Raises:
        AnceError: it can't be read.
    """
    try:
        return path.read_text("utf-8")
    except OSError as error:
        raise AnceError(f"{path}: the configuration can't be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise AnceError(f"{path}: the configuration is not a UTF-8 text: {error}") from error


def start(
    text: str,
    source: str,
    store_url: str,
    folder: Path,
    fleet: Fleet,
    port: int,
    redis_url: str | None,
    *,
    then_serve: bool,
    search: bool = True,
) -> None:
    """Create or continue a run from its configuration and run the local stack to its end."""
    from ance.cli.create_run import create_run
    from ance.cli.local_run import run_local
    from ance.cli.stack import StackOptions
    from ance.runtime.store import Store

    config = create_run(Store.open(store_url), text, source)
    options = StackOptions(store_url, config.run, folder.resolve(), fleet, port, redis_url, search)
    if not run_local(options, then_serve=then_serve):
        raise typer.Exit(130)
