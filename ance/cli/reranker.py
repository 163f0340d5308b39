"""`ance reranker`: the BERT reranker that a run's search is compared with, trained on the run's own data."""

from typing import Annotated

import typer

from ance.cli.fleet import Device, OnDevice
from ance.errors import AnceError

app = typer.Typer(no_args_is_help=True)


@app.callback()  # without it, typer would make the only command the group itself
def reranker() -> None:
    """The cross-encoder that the search of a run is compared with."""


@app.command("train")
def train(
    store: Annotated[str, typer.Option(help="Store that holds the run.", show_default=False)],
    run: Annotated[str, typer.Option(help="Id of the run.", show_default=False)],
    steps: Annotated[int, typer.Option(help="Optimiser steps.")] = 1000,
    random_steps: Annotated[
        int | None, typer.Option(help="First steps, with random negatives (default: a quarter).", show_default=False)
    ] = None,
    learning_rate: Annotated[float, typer.Option(help="Peak of the learning rate.")] = 2e-5,
    batch_size: Annotated[int, typer.Option(help="Queries a step.")] = 8,
    negatives_per_query: Annotated[int, typer.Option(help="Negatives of each query.")] = 7,
    max_tokens: Annotated[int, typer.Option(min=8, help="Longest pair of query and passage, in tokens.")] = 256,
    dropout: Annotated[
        float | None, typer.Option(help="Dropout (default: as the encoder's configuration says).", show_default=False)
    ] = None,
    dtype: Annotated[str, typer.Option(help="Precision of the forward pass: float32 or bfloat16.")] = "float32",
    seed: Annotated[int, typer.Option(help="Of the head, the batches and dropout.")] = 42,
    device: OnDevice = Device.CPU,
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads (default: all).")] = None,
) -> None:
    """Train a cross-encoder from the run's start model: on random, then on BM25's and the newest ANN negatives."""
    from pydantic import ValidationError

    from ance.cli.train_reranker import train_reranker
    from ance.runtime.contracts import describe
    from ance.runtime.process import limit_threads
    from ance.runtime.store import Store
    from ance.training.reranker import RerankerConfig

    settings = {
        "steps": steps,
        "random_steps": steps // 4 if random_steps is None else random_steps,
        "learning_rate": learning_rate,
        "lr_warmup_steps": steps // 10,
        "batch_size": batch_size,
        "negatives_per_query": negatives_per_query,
        "dropout": dropout,
        "dtype": dtype,
        "seed": seed,
    }
    try:
        config = RerankerConfig.model_validate(settings)
    except ValidationError as error:
        raise AnceError(f"ance reranker train: {describe(error)}") from error
    limit_threads(threads)
    ref, losses = train_reranker(Store.open(store), run, config, max_tokens=max_tokens, device=device)
    tenth = max(1, len(losses) // 10)
    first, last = sum(losses[:tenth]) / tenth, sum(losses[-tenth:]) / tenth
    print(f"{ref.manifest_uri}: {len(losses)} steps, loss {first:.3f} at first, {last:.3f} at last")
