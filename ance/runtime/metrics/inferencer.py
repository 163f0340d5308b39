"""Metrics of an inferencer."""

from __future__ import annotations

from prometheus_client import CollectorRegistry

from ance.runtime.contracts import Part
from ance.runtime.metrics import buckets
from ance.runtime.metrics.family import Family
from ance.runtime.metrics.gpu import gpu_memory
from ance.runtime.metrics.store import StoreMetrics


class InferencerMetrics:
    """What an inferencer measures."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        make = Family("inferencer", self.registry)
        self.rows_encoded = make.counter(
            "rows_encoded", "Texts encoded and stored.", part=tuple(part.value for part in Part)
        )
        self.pairs_scored = make.counter("pairs_scored", "Pairs scored by the teacher and stored.")
        self.tokens = make.counter("tokens", "Tokens encoded, padding not counted.")
        self.batch_duration_seconds = make.histogram(
            "batch_duration_seconds", "Time of one forward pass.", buckets.BATCH
        )
        self.oom_retries = make.counter(
            "oom_retries", "Batches that did not fit the device's memory and were encoded in halves."
        )
        self.tasks = make.counter("tasks", "Tasks by how they ended.", result=("done", "failed", "handed_back", "lost"))
        self.redelivered = make.counter(
            "redelivered", "Tasks taken that another worker, or this one, had not finished before."
        )
        self.task_duration_seconds = make.histogram("task_duration_seconds", "Time of one task.", buckets.FILES)
        self.busy = make.gauge("busy", "1 while a task is in hand.", start=0)
        self.busy_seconds = make.counter("busy_seconds", "Time with a task in hand.")
        self.checkpoint_step = make.gauge("checkpoint_step", "Step of the checkpoint loaded last.")
        self.checkpoint_load_seconds = make.histogram(
            "checkpoint_load_seconds", "Time to fetch, verify and load a checkpoint.", buckets.FILES
        )
        self.gpu_memory_bytes = gpu_memory(make)
        self.store = StoreMetrics(self.registry)
