"""Metrics of the trainer."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import get_args

from prometheus_client import CollectorRegistry

from ance.negatives.filters import FILTERS
from ance.runtime.metrics import buckets
from ance.runtime.metrics.family import Family
from ance.runtime.metrics.gpu import gpu_memory
from ance.runtime.metrics.store import StoreMetrics
from ance.training.config import NegativesKind

NEGATIVES = get_args(NegativesKind)
"""Kinds of negatives, for labels. A mixture is a label of its own once it is trained on."""
LAYER_GROUPS = ("global", "embeddings", "bottom", "middle", "top", "head")


class TrainerMetrics:
    """What the trainer measures. Steps are optimiser steps."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        make = Family("trainer", self.registry)
        self.step = make.gauge("step", "Optimiser steps done.")
        self.total_steps = make.gauge("total_steps", "Optimiser steps of the whole run.")
        self.checkpoint_interval_steps = make.gauge(
            "checkpoint_interval_steps", "Optimiser steps from one checkpoint to the next."
        )
        self.stage = make.info("stage", "Stage of training, as the label `stage`.")
        self.loss = make.gauge("loss", "Training loss of the last step.")
        self.learning_rate = make.gauge("learning_rate", "Learning rate of the last step.")
        self.gradient_norm = make.gauge(
            "gradient_norm",
            "L2 norm of the gradient before clipping, of all parameters (global) and by layer group.",
            group=LAYER_GROUPS,
        )
        self.instance_gradient_norm_bound = make.histogram(
            "instance_gradient_norm_bound",
            "Gradient norm of single instances at the last layer, the bound of the paper's eq 11 without its constant, "
            "by kind of negative.",
            buckets.GRADIENT,
            negatives=NEGATIVES,
        )
        self.nonfinite = make.counter("nonfinite", "Steps left out because the loss or a gradient was not finite.")
        self.step_duration_seconds = make.histogram(
            "step_duration_seconds", "Time of an optimiser step.", buckets.BATCH
        )
        self.tokens = make.counter("tokens", "Tokens trained on, padding not counted.")
        self.negatives_checkpoint_step = make.gauge(
            "negatives_checkpoint_step", "Step of the checkpoint that mined the negatives in use."
        )
        self.negatives_created_timestamp_seconds = make.gauge(
            "negatives_created_timestamp_seconds",
            "When the checkpoint that mined the negatives in use was made, since the epoch.",
        )
        self.async_gap_steps = make.gauge(
            "async_gap_steps", "Trainer's step minus the step that mined the negatives in use."
        )
        self.async_gap_seconds = make.gauge(
            "async_gap_seconds", "Time since the checkpoint that mined the negatives in use was made."
        )
        self.candidates_dropped = make.counter(
            "candidates_dropped",
            "Passages that must not be negatives, by the filter: of the lists (BM25's, those given) that a stage begins"
            " with, or retrieved for a batch (ADORE).",
            filter=FILTERS,
        )
        self.negatives_filled = make.counter(
            "negatives_filled", "Random negatives that stood in where the list of a query was too short."
        )
        self.negatives_masked = make.counter(
            "negatives_masked", "Passages of a batch that did not count as a query's negatives: its known positives."
        )
        self.waiting = make.gauge("waiting", "1 while training is paused for newer negatives.", start=0)
        self.stopping = make.gauge(
            "stopping", "1 once the dev split shows no gain and training ends before its last step.", start=0
        )
        self.checkpoint_save_seconds = make.histogram(
            "checkpoint_save_seconds", "Time to save and publish a checkpoint.", buckets.FILES
        )
        self.gpu_memory_bytes = gpu_memory(make)
        self.store = StoreMetrics(self.registry)

    def set_stage(self, name: str) -> None:
        """Show which stage of training this is."""
        self.stage.info({"stage": name})

    def observe_step(self, *, step: int, loss: float, learning_rate: float, seconds: float, tokens: int) -> None:
        """Show an optimiser step: `step` counts it in, `tokens` are those it trained on."""
        self.step.set(step)
        self.loss.set(loss)
        self.learning_rate.set(learning_rate)
        self.step_duration_seconds.observe(seconds)
        self.tokens.inc(tokens)

    def observe_gradients(self, norms: Mapping[str, float], bounds: Mapping[str, Iterable[float]]) -> None:
        """Show the gradient before clipping: its norm by layer group, the instances' bounds by kind of negative."""
        for group, norm in norms.items():
            self.gradient_norm.labels(group=group).set(norm)
        for negatives, values in bounds.items():
            histogram = self.instance_gradient_norm_bound.labels(negatives=negatives)
            for value in values:
                histogram.observe(value)

    def set_negatives(self, step: int | None, created_at: float = math.nan) -> None:
        """Show which version of the negatives is in use; None: one that comes from no index."""
        self.negatives_checkpoint_step.set(math.nan if step is None else step)
        self.negatives_created_timestamp_seconds.set(created_at)
