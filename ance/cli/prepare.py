"""`ance prepare`: a data set, tokenised into the store."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from ance.errors import AnceError


def prepare(
    dataset: Annotated[
        str,
        typer.Option(
            help="What to prepare: python-env[:passages=N,packages=a+b], beir:FOLDER or ir_datasets:ID.",
            show_default=False,
        ),
    ],
    store: Annotated[str, typer.Option(help="Store to write to, e.g. file:///data/ance.", show_default=False)],
    model: Annotated[
        str, typer.Option(help="Model whose tokenizer is used: a Hugging Face id, a folder, or `minilm`.")
    ] = "minilm",
    name: Annotated[str | None, typer.Option(help="Name in the store; the source's own by default.")] = None,
    max_tokens: Annotated[int, typer.Option(min=1, help="Tokens to keep of a text.")] = 512,
    skip_invalid: Annotated[
        bool, typer.Option("--skip-invalid", help="Leave out and count bad records instead of stopping.")
    ] = False,
) -> None:
    """Read a data set, tokenise it and publish it in the store as datasets/NAME."""
    prepare_dataset(dataset, store, model, name=name, max_tokens=max_tokens, skip_invalid=skip_invalid)


def prepare_dataset(
    spec: str,
    store_url: str,
    model: str,
    *,
    name: str | None = None,
    max_tokens: int = 512,
    skip_invalid: bool = False,
) -> str:
    """Prepare and publish a data set unless the store has it already; returns its name in the store.

    Raises:
        AnceError: a record is not usable, the source does not exist, or the store is not writable.
    """
    from ance.cli.models import resolve_model
    from ance.data.open_source import open_source
    from ance.data.prepare import prepare as write_dataset
    from ance.data.tokenizer import Tokenizer
    from ance.runtime.artifacts import publish
    from ance.runtime.contracts import Kind
    from ance.runtime.layout import RunLayout, manifest_of
    from ance.runtime.store import Store

    store = Store.open(store_url, create=True)
    store.check_writable()
    source = open_source(spec)
    prefix = RunLayout.dataset(name or source.name)
    if store.exists(manifest_of(prefix)):
        raise AnceError(f"{store.url}/{prefix} exists already; choose another --name, or delete it first")
    tokenizer = Tokenizer.load(resolve_model(model))
    local = store.local(prefix)
    if local is not None:
        local.parent.mkdir(parents=True, exist_ok=True)
    # Staged on the store's own file system where it is a folder: publishing then is a link, not a copy.
    with TemporaryDirectory(dir=local.parent if local is not None else None, prefix=".preparing-") as staging:
        folder = Path(staging) / "dataset"
        report = write_dataset(
            source, tokenizer, folder, max_tokens=max_tokens, skip_invalid=skip_invalid, progress=_show
        )
        publish(
            store,
            prefix,
            folder,
            kind=Kind.DATASET,
            run_id="",
            step=0,
            fencing_token=0,
            parents={},
            config_sha256="",
            stats={"splits": list(source.splits()), "counts": report.counts, **report.provenance},
            pointer=None,
        )
    print(f"{prefix}: " + ", ".join(f"{count} {what}" for what, count in report.counts.items()))
    for reason, invalid in report.invalid.items():
        print(f"skipped {invalid.records}: {reason}, first at {invalid.first}")
    print(f"prepared in {report.seconds:.1f} s")
    return name or source.name


def _show(what: str, done: int) -> None:
    print(f"  {what}: {done}", end="\r", flush=True)
