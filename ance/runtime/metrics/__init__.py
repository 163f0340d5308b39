"""Prometheus metrics: one class a service, each with a registry of its own.

Names are `ance_<component>_<what>_<unit>` in base units; the attribute is `<what>_<unit>`, without `_total`.
"""

from ance.runtime.metrics.gpu import watch_gpu
from ance.runtime.metrics.indexer import IndexerMetrics
from ance.runtime.metrics.inferencer import InferencerMetrics
from ance.runtime.metrics.labelled import labelled
from ance.runtime.metrics.queue import QueueMetrics
from ance.runtime.metrics.search import SearchMetrics
from ance.runtime.metrics.server import MetricsServer, serve
from ance.runtime.metrics.trainer import TrainerMetrics

__all__ = [
    "IndexerMetrics",
    "InferencerMetrics",
    "MetricsServer",
    "QueueMetrics",
    "SearchMetrics",
    "TrainerMetrics",
    "labelled",
    "serve",
    "watch_gpu",
]
