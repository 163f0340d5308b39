from __future__ import annotations

import pytest
import torch

from ance.runtime.metrics import InferencerMetrics, watch_gpu


def value(metrics: InferencerMetrics, state: str) -> float | None:
    return metrics.registry.get_sample_value("ance_inferencer_gpu_memory_bytes", {"state": state})


def test_a_process_on_a_cpu_claims_nothing_of_gpu_memory() -> None:
    metrics = InferencerMetrics()
    watch_gpu(metrics.gpu_memory_bytes, "cpu")
    assert value(metrics, "allocated") is value(metrics, "reserved") is None


def test_memory_is_asked_of_the_process_own_device_at_every_scrape(monkeypatch: pytest.MonkeyPatch) -> None:
    held = {"cuda:1": 100}
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: held[device])
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 2 * held[device])
    metrics = InferencerMetrics()
    watch_gpu(metrics.gpu_memory_bytes, "cuda:1")
    assert (value(metrics, "allocated"), value(metrics, "reserved")) == (100, 200)
    held["cuda:1"] = 300
    assert value(metrics, "allocated") == 300


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_tensor_on_a_gpu_is_counted() -> None:
    metrics = InferencerMetrics()
    watch_gpu(metrics.gpu_memory_bytes, "cuda")
    before = value(metrics, "allocated")
    assert before is not None
    tensor = torch.zeros(1 << 20, device="cuda")
    assert value(metrics, "allocated") == before + tensor.nbytes
