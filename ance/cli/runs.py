"""`ance runs`: the runs of a store, from creation to the deletion of what they no longer need."""

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypedDict

import typer

if TYPE_CHECKING:
    from ance.runtime.contracts import RunConfig
    from ance.runtime.layout import RunLayout
    from ance.runtime.retention import Version
    from ance.runtime.store import Store


class Rules(TypedDict):
    """What a run's configuration says of retention."""

    keep: int
    pinned: set[int]


app = typer.Typer(help="Create runs, look at them, and delete what they no longer need.", no_args_is_help=True)

StoreUrl = Annotated[
    str,
    typer.Option(help="Store of the runs, e.g. file:///data/ance.", envvar="ANCE_STORE", show_default=False),
]
Run = Annotated[str, typer.Argument(help="Id of a run.")]
Config = Annotated[Path, typer.Option(help="The run's configuration, a YAML file.", show_default=False)]


@app.command("create")
def create(config: Config, store: StoreUrl) -> None:
    """Store a run's configuration, which its services wait for.

    A run that is there with the same configuration is left as it is, so the command can be repeated. One with
    another configuration is an error.
    """
    from ance.cli.create_run import create_run
    from ance.cli.up import read
    from ance.runtime.layout import RunLayout
    from ance.runtime.store import Store

    opened = Store.open(store)
    run = create_run(opened, read(config), str(config)).run
    print(f"{RunLayout(run).root} is in {opened.url}, with this configuration")


@app.command("list")
def list_runs(store: StoreUrl) -> None:
    """Show the runs of a store, one a line, with the newest step of each kind."""
    from ance.runtime.layout import RunLayout
    from ance.runtime.store import Store

    opened = Store.open(store)
    for name in opened.folders("runs"):
        layout = RunLayout(name)
        if opened.exists(layout.run_yaml):
            print(f"{name}  {newest(opened, layout)}")


@app.command("show")
def show(run: Run, store: StoreUrl) -> None:
    """Show the versions of a run: their sizes, and why each is kept or will be deleted."""
    from ance.runtime.holds import live_holds
    from ance.runtime.retention import find_versions, retain

    opened, layout, config = _open(run, store)
    print(f"{run}  {newest(opened, layout)}")
    holders: dict[tuple[str, int], list[str]] = {}
    for hold in live_holds(opened, layout):
        for held in hold.versions:
            holders.setdefault((held.kind, held.step), []).append(hold.holder)
    plan = retain(opened, layout, **_rules(config), dry_run=True)
    leaving = {*plan.deleted, *plan.condemned}
    for version in find_versions(opened, layout):
        notes = [f"held by {holder}" for holder in holders.get((version.kind, version.step), [])]
        notes += ["not published"] if not version.manifest_sha256 else []
        notes += ["not needed"] if version in leaving else []
        print(f"  {_line(version)}{'  ' if notes else ''}{', '.join(notes)}")


@app.command("gc")
def collect(
    run: Run,
    store: StoreUrl,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Change nothing, only say what would be.")] = False,
) -> None:
    """Delete the versions that nobody needs any more, as the indexer does after each refresh.

    A version is first marked. It is deleted by a later pass, a minute or more after that, unless a running
    process has said meanwhile that it uses it. Where a process seems to have left without a word, the command waits
    a few minutes to see whether it is still there. Collections of Milvus go with their versions: if the run's index is
    there, ANCE_MILVUS_URI and the other variables of the indexer are needed.
    """
    from ance.runtime.index_backend import index_backend
    from ance.runtime.milvus.settings import MilvusSettings
    from ance.runtime.retention import retain
    from ance.runtime.second_look import look_twice
    from ance.runtime.settings import load

    opened, layout, config = _open(run, store)
    backend = index_backend(config.index, load(MilvusSettings), opened, layout)
    silent = look_twice(opened, layout, time.sleep, lambda text: print(text, file=sys.stderr))
    plan = retain(opened, layout, **_rules(config), dry_run=dry_run, silent=silent)
    if not dry_run:
        backend.tidy()
    for what, versions in (("delete", plan.deleted), ("mark", plan.condemned)):
        for version in versions:
            print(f"{f'would {what}' if dry_run else what}  {_line(version)}")
    if not plan.deleted and not plan.condemned:
        print("nothing to delete")


def newest(store: "Store", layout: "RunLayout") -> str:
    """The newest step of each kind that has a pointer, on one line."""
    refs = ((name, store.read_pointer(layout.pointer(name))) for name in ("checkpoint", "negatives", "index"))
    named = [f"{name} {ref.step}{' (final)' if ref.final else ''}" for name, ref in refs if ref is not None]
    return ", ".join(named) or "not started"


def _open(run: str, url: str) -> "tuple[Store, RunLayout, RunConfig]":
    from ance.runtime.layout import RunLayout
    from ance.runtime.run import read_config
    from ance.runtime.store import Store

    store, layout = Store.open(url), RunLayout(run)
    return store, layout, read_config(store, layout)


def _rules(config: "RunConfig") -> "Rules":
    from ance.runtime.retention import pinned_steps

    return {"keep": config.retention.keep, "pinned": pinned_steps(config)}


def _line(version: "Version") -> str:
    return f"{version.kind.value} {version.step}  {version.size / 1e6:.1f} MB"
