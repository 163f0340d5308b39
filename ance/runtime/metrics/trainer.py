"""Metrics of the trainer."""

from __future__ import annotations

from prometheus_client import CollectorRegistry

from ance.runtime.metrics import buckets
from ance.runtime.metrics.family import Family


class TrainerMetrics:
    """What the trainer measures. Steps are optimiser steps."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        make = Family("trainer", self.registry)
        self.step = make.gauge("step", "Optimiser steps done.")
        self.total_steps = make.gauge("total_steps", "Optimiser steps of the whole run.")
        self.stage = make.info("stage", "Stage of training, as the label `stage`.")
        self.loss = make.gauge("loss", "Training loss of the last step.")
        self.learning_rate = make.gauge("learning_rate", "Learning rate of the last step.")
        self.gradient_norm = make.gauge(
            "gradient_norm",
            "L2 norm of the gradient before clipping, of all parameters (global) and by layer group.",
            group=("global", "embeddings", "bottom", "middle", "top", "head"),
        )
        self.step_duration_seconds = make.histogram(
            "step_duration_seconds", "Time of an optimiser step.", buckets.BATCH
        )
        self.tokens = make.counter("tokens", "Tokens trained on, padding not counted.")
        self.negatives_checkpoint_step = make.gauge(
            "negatives_checkpoint_step", "Step of the checkpoint that mined the negatives in use."
        )
        self.async_gap_steps = make.gauge(
            "async_gap_steps", "Trainer's step minus the step that mined the negatives in use."
        )
        self.async_gap_seconds = make.gauge(
            "async_gap_seconds", "Time since the checkpoint that mined the negatives in use was made."
        )
        self.waiting = make.gauge("waiting", "1 while training is paused for newer negatives.", start=0)
        self.checkpoint_save_seconds = make.histogram(
            "checkpoint_save_seconds", "Time to save and publish a checkpoint.", buckets.FILES
        )

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
