"""`ance prepare`: a data set, tokenised into the store."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

from ance.errors import AnceError

if TYPE_CHECKING:
    from ance.data.prepare import PrepareReport

DEFAULT_MAX_TOKENS = 512
"""Longest text of most encoders."""


def prepare(
    dataset: Annotated[
        str,
        typer.Option(
            help="What to prepare: python-env[:passages=N,packages=a+b], beir:FOLDER, msmarco:FOLDER, dpr:FOLDER or "
            "ir_datasets:ID[,SPLIT=PART...]; docs/data.md says more.",
            show_default=False,
        ),
    ],
    store: Annotated[
        str,
        typer.Option(help="Store to write to, e.g. file:///data/ance.", envvar="ANCE_STORE", show_default=False),
    ],
    model: Annotated[
        str, typer.Option(help="Model whose tokenizer is used: a Hugging Face id, a folder, or `minilm`.")
    ] = "minilm",
    name: Annotated[str | None, typer.Option(help="Name in the store; the source's own by default.")] = None,
    max_tokens: Annotated[int, typer.Option(min=1, help="Tokens to keep of a text.")] = DEFAULT_MAX_TOKENS,
    skip_invalid: Annotated[
        bool, typer.Option("--skip-invalid", help="Leave out and count bad records instead of stopping.")
    ] = False,
    if_missing: Annotated[
        bool,
        typer.Option("--if-missing", help="Do nothing if the store has this data set, made in the same way."),
    ] = False,
) -> None:
    """Read a data set, tokenise it and publish it in the store as datasets/NAME."""
    if if_missing and is_prepared(dataset, store, model, name=name, max_tokens=max_tokens, skip_invalid=skip_invalid):
        print(f"nothing to do: {store} has the data set {name or dataset}, made in the same way")
        return
    report = prepare_dataset(dataset, store, model, name=name, max_tokens=max_tokens, skip_invalid=skip_invalid)
    print(describe(report, name or report.name))


def prepare_dataset(
    spec: str,
    store_url: str,
    model: str,
    *,
    name: str | None = None,
    max_tokens: int = DEFAULT_MAX_TOKENS,
    skip_invalid: bool = False,
) -> "PrepareReport":
    """Prepare a data set and publish it, with progress on stderr.

    Raises:
        AnceError: a record is not usable, the source does not exist, the store is not writable, or it holds a
            data set of that name.
    """
    from ance.cli.counts import Counts
    from ance.cli.models import resolve_model
    from ance.cli.recipe import RECIPE, recipe
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
        with Counts() as counts:
            report = write_dataset(
                source, tokenizer, folder, max_tokens=max_tokens, skip_invalid=skip_invalid, progress=counts.show
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
            stats={
                "splits": list(source.splits()),
                "counts": report.counts,
                RECIPE: recipe(spec, tokenizer, max_tokens, skip_invalid=skip_invalid),
                **report.provenance,
            },
            pointer=None,
        )
    return report


def is_prepared(
    spec: str, store_url: str, model: str, *, name: str | None, max_tokens: int, skip_invalid: bool
) -> bool:
    """Whether the store has what `prepare_dataset` with the same arguments would make.

    Raises:
        AnceError: it has a data set of that name that was made in another way.
    """
    from ance.cli.models import resolve_model
    from ance.cli.recipe import has_same, recipe
    from ance.data.open_source import open_source
    from ance.data.tokenizer import Tokenizer
    from ance.runtime.layout import RunLayout
    from ance.runtime.store import Store

    prefix = RunLayout.dataset(name or open_source(spec).name)
    tokenizer = Tokenizer.load(resolve_model(model))
    return has_same(
        Store.open(store_url, create=True),
        prefix,
        recipe(spec, tokenizer, max_tokens, skip_invalid=skip_invalid),
    )


def describe(report: "PrepareReport", name: str) -> str:
    """What was prepared and what was left out, a line each."""
    counts = report.counts
    lines = [f"datasets/{name}: {counts['passages']} passages, prepared in {report.seconds:.1f} s"]
    for split in (key.removesuffix("_queries") for key in counts if key.endswith("_queries")):
        line = f"  {split}: {counts[f'{split}_queries']} queries, {counts[f'{split}_judgements']} judgements"
        without = counts[f"{split}_queries_without_positive"]
        given = counts.get(f"{split}_candidates", 0)
        line += f", {without} queries without a positive" if without else ""
        lines.append(line + (f", {given} candidates" if given else ""))
    lines += [f"  skipped {left.records}: {reason}, first {left.first}" for reason, left in report.invalid.items()]
    return "\n".join(lines)
