"""GPU memory of a process that holds a model, as PyTorch's allocator counts it."""

from __future__ import annotations

from functools import partial

from prometheus_client import Gauge

from ance.runtime.metrics.family import Family

STATES = ("allocated", "reserved")


def gpu_memory(make: Family) -> Gauge:
    """The metric. It has no samples until `watch_gpu` is called for a GPU."""
    return make.gauge(
        "gpu_memory_bytes",
        "GPU memory of the process: `allocated` to tensors, `reserved` by the allocator, which includes it. Absent on "
        "a CPU.",
        state=STATES,
    )


def watch_gpu(memory: Gauge, device: str) -> None:
    """Show the memory of `device`, a name as torch's, at every scrape from now on; of a CPU nothing."""
    if not device.startswith("cuda"):
        return
    import torch

    for state, read in zip(STATES, (torch.cuda.memory_allocated, torch.cuda.memory_reserved), strict=True):
        memory.labels(state=state).set_function(partial(read, device))
