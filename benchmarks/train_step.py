"""A training step against the trainer of sentence-transformers and a plain torch loop.

Same model, texts, batches, loss, precision and threads; in-batch loss with one hard negative a query. The three take
turns, step by step, in one process. Ours reads token ids that `ance prepare` has stored, the others tokenise. Batches
in which ours would mask a known positive are left out: the others learn from it as a negative. The bound is the time of
the step's matrix products alone, at the rate of the fastest (benchmarks/roofline.py).

python -m benchmarks.train_step [--dataset beir:FOLDER] [--dtype bfloat16] [--threads 2] [--pairs 30] [--json]
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from itertools import count, islice
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch

from ance.data.dataset import Dataset
from ance.data.open_source import open_source
from ance.data.prepare import prepare
from ance.data.qrels import Qrels
from ance.data.tokenizer import Tokenizer
from ance.model.batching import text_lengths
from ance.model.bi_encoder import BiEncoder
from ance.negatives.sources import RandomNegatives
from ance.runtime.contracts import RunConfig
from ance.training.batches import TrainingBatch, TrainingBatches
from ance.training.config import TrainingConfig
from ance.training.optimisers import build_optimiser
from ance.training.preparation import prepare_for_training
from ance.training.step import TrainingStep, TrainingTexts
from benchmarks.harness import Pairs, Result, machine, use_threads
from benchmarks.options import parser, with_config, with_threads
from benchmarks.roofline import operations_of, products_of
from benchmarks.runs import load_config, offline
from benchmarks.train_step_peers import LEARNING_RATE, Between, PlainLoop, Texts, train_with_sentence_transformers

GOAL = 1.2
WARM_UP = 3
"""First steps, which are not counted: memory is allocated, kernels are compiled."""
TOLERANCE = {"float32": 1e-3, "bfloat16": 0.05}
"""Largest difference of a loss, relative: the same texts must be learnt from."""


def main(arguments: Sequence[str] | None = None) -> Result:
    """Measure, print, and return the result. The figures are milliseconds a step; `details` has the plain loop."""
    command_line = with_threads(with_config(parser("train_step", __doc__)), threads=2)
    command_line.add_argument("--dtype", choices=["float32", "bfloat16"], default="float32")
    command_line.add_argument("--pairs", type=int, default=30, help="steps of each, in turns")
    options = command_line.parse_args(arguments)
    use_threads(options.threads)
    offline()
    changes = {"training.dtype": options.dtype, "training.dropout": "0.0", "training.gradient_accumulation": "1"}
    config = load_config(options.config, changes)
    # sentence-transformers has one limit for queries and passages.
    as_long = config.model.model_copy(update={"max_query_tokens": config.model.max_passage_tokens})
    config = config.model_copy(update={"model": as_long})
    with tempfile.TemporaryDirectory() as scratch:
        result = compare(config, options.dataset, Path(scratch), options.pairs)
    print(result.to_json() if options.json else result.line())
    if not options.json:
        plain = result.details["plain_loop"]
        print(f"  a plain torch loop: {plain['ms_per_step']:.1f} ms/step: x {plain['ratio']:.2f}")
        bound = result.details["products_ms_per_step"]
        print(f"  its matrix products alone: {bound:.1f} ms/step, {bound / result.ours:.0%} of ours")
    return result


def compare(config: RunConfig, source: str, folder: Path, n: int) -> Result:
    """Make n steps with each, on the same batches."""
    import sentence_transformers

    training = config.training
    prepare(open_source(source), Tokenizer.load(config.model.name_or_path), folder / "dataset")
    dataset = Dataset.open(folder / "dataset")
    BiEncoder.start(config.model).save(folder / "model")
    qrels = dataset.qrels("train")
    stream, negatives = TrainingBatches(qrels, training), RandomNegatives(len(dataset.passages), qrels)
    batches = ((step, stream.batch(step, negatives)[0]) for step in count())
    drawn = islice(((step, batch) for step, batch in batches if not masks(batch, qrels, training)), WARM_UP + n)
    steps, of_steps = zip(*drawn, strict=True)
    texts = [texts_of(dataset, batch) for batch in of_steps]
    ours = our_step(dataset, config, folder / "model")
    plain = PlainLoop(folder / "model", config.model, training)
    seconds: dict[str, list[float]] = {"ours": [], "plain": []}
    losses: dict[str, list[float]] = {"ours": [], "plain": []}

    def others(turn: int) -> None:
        step = steps[turn]

        def run_ours() -> float:
            batches = stream.batch(step, negatives)  # to draw them is a part of the step
            return ours.run(step, batches, loss="in_batch", learning_rate=LEARNING_RATE).loss

        def run_plain() -> float:
            return plain.step(texts[turn])

        both = [("ours", run_ours), ("plain", run_plain)]
        for name, run in both if turn % 2 else reversed(both):
            began = time.perf_counter()
            losses[name].append(run())
            seconds[name].append(time.perf_counter() - began)

    between = Between(others)
    losses["theirs"] = train_with_sentence_transformers(folder / "model", training, texts, between, folder / "peer")
    pairs = Pairs(seconds["ours"][WARM_UP:], between.seconds[WARM_UP:])
    against_plain = Pairs(seconds["ours"][WARM_UP:], seconds["plain"][WARM_UP:])
    apart = {name: difference(losses["ours"], losses[name]) for name in ("theirs", "plain")}
    return Result(
        name="train-step",
        peer=f"trainer of sentence-transformers {sentence_transformers.__version__}",
        ours=1000 * median(pairs.ours),
        theirs=1000 * median(pairs.theirs),
        ratio=pairs.speedup,
        goal=GOAL,
        holds=pairs.speedup >= GOAL and max(apart.values()) <= TOLERANCE[training.dtype],
        n=n,
        spread=pairs.spread,
        machine=machine(),
        details={
            "unit": "ms/step",
            "dataset": source,
            "dtype": training.dtype,
            "batch_size": training.batch_size,
            "plain_loop": {
                "ms_per_step": 1000 * median(against_plain.theirs),
                "ratio": against_plain.speedup,
                "spread": against_plain.spread,
            },
            "products_ms_per_step": 1000 * products_seconds(config, dataset, of_steps[WARM_UP:]),
            "largest_difference_of_a_loss": apart,
        },
    )


def texts_of(dataset: Dataset, batch: TrainingBatch) -> Texts:
    """The texts that its rows are of."""
    queries, passages = dataset.queries("train"), dataset.passages
    return {
        "anchor": [queries.full_text(row) for row in batch.query_rows.tolist()],
        "positive": [passages.full_text(row) for row in batch.positive_rows.tolist()],
        "negative": [passages.full_text(row) for row in batch.negative_rows[:, 0].tolist()],
    }


def products_seconds(config: RunConfig, dataset: Dataset, batches: Sequence[TrainingBatch]) -> float:
    """Mean time of the matrix products of a step: once on the way forth, twice back, for two gradients."""
    model, texts = BiEncoder.start(config.model), TrainingTexts.of(dataset, config.model)
    operations = 0.0
    for batch in batches:
        passages = np.concatenate([batch.positive_rows, batch.negative_rows.ravel()])
        for tokens, rows, longest in (
            (texts.queries, batch.query_rows, texts.max_query_tokens),
            (texts.passages, passages, texts.max_passage_tokens),
        ):
            operations += 3 * operations_of(model, text_lengths(tokens, rows, texts.special, longest))
    rate = max(product.rate() for product in products_of(model, getattr(torch, config.training.dtype)))
    return operations / len(batches) / rate


def masks(batch: TrainingBatch, qrels: Qrels, training: TrainingConfig) -> bool:
    """Whether the batch has a second positive of one of its queries, which ours does not take for a negative."""
    passages = np.concatenate([batch.positive_rows, batch.negative_rows[:, 0]])
    positives = (qrels.positives(query, training.min_positive_grade) for query in batch.query_rows.tolist())
    return any(np.isin(passages, rows).sum() > 1 for rows in positives)


def our_step(dataset: Dataset, config: RunConfig, folder: Path) -> TrainingStep:
    """As the trainer makes it, gradient norms of every step included."""
    training = config.training
    model = prepare_for_training(BiEncoder.load(folder), training.dropout, "cpu")
    texts = TrainingTexts.of(dataset, config.model)
    return TrainingStep(model, build_optimiser(model, training, LEARNING_RATE), texts, training)


def difference(ours: Sequence[float], theirs: Sequence[Any]) -> float:
    """The largest relative difference of a loss."""
    return float(np.max(np.abs(np.subtract(ours, theirs)) / np.abs(theirs)))


if __name__ == "__main__":
    main()
