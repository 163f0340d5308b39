"""`ance export`: a checkpoint of a run as a model for others."""

import shutil
from pathlib import Path
from typing import Annotated

import typer

from ance.errors import AnceError


def export(
    run: Annotated[str, typer.Argument(help="Id of the run.")],
    store: Annotated[str, typer.Option(help="Store that holds the run.", envvar="ANCE_STORE", show_default=False)],
    to: Annotated[Path, typer.Option(help="Folder to write, new or empty.", show_default=False)],
    version: Annotated[
        int | None, typer.Option(min=0, help="Step of the checkpoint (default: the newest).", show_default=False)
    ] = None,
    best: Annotated[bool, typer.Option("--best", help="The checkpoint that is best on dev, not the newest.")] = False,
) -> None:
    """Write a checkpoint as a folder that `SentenceTransformer(folder)` loads, with a model card."""
    step = export_checkpoint(store, run, to, version, best=best)
    print(f"{to}: checkpoint {step} of run {run}, with a model card in README.md")


def export_checkpoint(store_url: str, run: str, to: Path, version: int | None = None, *, best: bool = False) -> int:
    """Write a checkpoint and its model card to a folder.

    Args:
        store_url: holds the run.
        run: its id.
        to: folder that does not exist, or is empty.
        version: step of the checkpoint (None: the newest).
        best: take the one whose version is best on the dev split.

    Returns:
        The step.

    Raises:
        AnceError: no such run or checkpoint, or the folder has something in it.
    """
    from ance.cli.model_card import model_card
    from ance.data.dataset import Dataset
    from ance.model.layout import Layout
    from ance.runtime.artifacts import fetch, read_manifest
    from ance.runtime.layout import MANIFEST, TRAINER_STATE, RunLayout, manifest_of
    from ance.runtime.run import read_config
    from ance.runtime.run_history import best_step, refresh_records
    from ance.runtime.settings import DEFAULT_CACHE
    from ance.runtime.store import Store

    if to.exists() and (not to.is_dir() or any(to.iterdir())):
        raise AnceError(f"{to}: is there and not empty: name a new folder with --to")
    store, layout = Store.open(store_url), RunLayout(run)
    config = read_config(store, layout)
    newest = store.read_pointer(layout.pointer("checkpoint"))
    if newest is None:
        raise AnceError(f"run '{run}' has no checkpoint yet: nothing to export")
    if best and version is not None:
        raise AnceError("--best names a version, and so does --version: leave one out")
    step = best_step(store, layout) if best else newest.step if version is None else version
    if not store.exists(manifest_of(layout.checkpoint(step))):
        raise AnceError(f"run '{run}' has no checkpoint of step {step}; `ance runs show {run}` lists what is there")
    folder = fetch(store, layout.checkpoint(step), DEFAULT_CACHE, skip=f"{TRAINER_STATE}/")
    dataset = Dataset.open(fetch(store, layout.dataset(config.dataset), DEFAULT_CACHE))
    records = {record["step"]: record for record in refresh_records(store, layout)}
    dev: dict[str, float] = records[step]["dev"] if step in records else {}
    card = model_card(config, step, read_manifest(store, manifest_of(layout.checkpoint(step))), dataset, dev)
    Layout.read(folder)  # says so if it cannot be loaded, before anything is written
    shutil.copytree(folder, to, ignore=shutil.ignore_patterns(MANIFEST, TRAINER_STATE), dirs_exist_ok=True)
    (to / "README.md").write_text(card, "utf-8")
    return step
