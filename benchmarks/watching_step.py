"""A training step of the demo's configuration, watched and not."""

from __future__ import annotations

import time
from contextlib import nullcontext
from pathlib import Path

from ance.data.dataset import Dataset
from ance.data.open_source import open_source
from ance.data.prepare import prepare
from ance.data.tokenizer import Tokenizer
from ance.model.bi_encoder import BiEncoder
from ance.negatives.sources import RandomNegatives
from ance.runtime.metrics import TrainerMetrics
from ance.runtime.tracing import span
from ance.training.batches import TrainingBatches
from ance.training.optimisers import build_optimiser
from ance.training.preparation import prepare_for_training
from ance.training.step import TrainingStep, TrainingTexts
from benchmarks.options import DEMO
from benchmarks.runs import load_config
from benchmarks.watching import Comparison, Watching

NEVER = 1_000_000_000


def compare_steps(source: str, folder: Path, watching: Watching, pairs: int) -> Comparison:
    """Make each step twice, with one model and one optimiser: watched as the trainer does, and plain."""
    config = load_config(DEMO, {})
    prepare(open_source(source), Tokenizer.load(config.model.name_or_path), folder / "dataset")
    dataset, training, metrics = Dataset.open(folder / "dataset"), config.training, TrainerMetrics()
    model = prepare_for_training(BiEncoder.start(config.model), training.dropout, "cpu")
    optimiser = build_optimiser(model, training, training.ance.learning_rate)
    texts = TrainingTexts.of(dataset, config.model)
    recording = TrainingStep(model, optimiser, texts, training)
    plain = TrainingStep(model, optimiser, texts, training.model_copy(update={"gradient_norm_steps": NEVER}))
    qrels = dataset.qrels("train")
    batches, negatives = TrainingBatches(qrels, training), RandomNegatives(len(dataset.passages), qrels)

    def make(step: int, *, watched: bool) -> float:
        batch = batches.batch(step, negatives)
        began = time.perf_counter()
        with nullcontext() if watched else watching.off(), span("step", step=step):
            result = (recording if watched else plain).run(step, batch, loss=training.ance.loss, learning_rate=1e-5)
            if watched:
                metrics.observe_step(
                    step=step,
                    loss=result.loss,
                    learning_rate=result.learning_rate,
                    seconds=result.seconds,
                    tokens=result.tokens,
                )
                bounds = {"random": result.instance_bounds["drawn"], "in_batch": result.instance_bounds["in_batch"]}
                metrics.observe_gradients(result.gradient_norms, bounds)
        return time.perf_counter() - began

    compared = Comparison()
    for step in range(-2, pairs):
        for watched in (True, False) if step % 2 else (False, True):
            seconds = make(max(step, 0), watched=watched)
            if step >= 0:  # the first ones warm up
                (compared.watched if watched else compared.unwatched).append(seconds)
    return compared
