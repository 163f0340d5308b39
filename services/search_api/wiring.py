"""The parts of a search replica, put together."""

import logging
import sys

from ance.runtime.health import Health
from ance.runtime.kubernetes.client import cluster_for
from ance.runtime.kubernetes.events import open_events
from ance.runtime.metrics import SearchMetrics, labelled, serve, watch_gpu
from ance.runtime.process import limit_threads
from ance.runtime.run import begin, find_run
from ance.runtime.shutdown import Shutdown
from services.search_api.app import create_app
from services.search_api.server import listen, serve_until
from services.search_api.settings import SearchSettings

log = logging.getLogger(__name__)

SWITCH_SECONDS = 0.001


def main() -> None:
    """Wire the process together and answer until SIGTERM. The store is only read: it may be mounted so."""
    # The default of 5 ms is as long as a search: loading a version in a thread would be felt in every answer.
    sys.setswitchinterval(SWITCH_SECONDS)
    with Shutdown() as shutdown:
        settings = begin(SearchSettings, "search_api")
        if settings.api_keys_file is None and not settings.on_loopback:
            log.warning("anybody who reaches %s may search: set ANCE_API_KEYS_FILE to ask for keys", settings.host)
        limit_threads(settings.threads)
        metrics = SearchMetrics()
        watch_gpu(metrics.gpu_memory_bytes, settings.device)
        health = Health(settings.liveness_seconds, stopping=shutdown)
        # Alive from here on: the run may be created hours later.
        with serve(labelled(metrics.registry, run=settings.run), settings.metrics_port, health=health):
            run = find_run(settings, shutdown, writes=False, beat=health.beat)
            with (
                open_events(cluster_for(settings), "search-api", settings.event_object) as announce,
                listen(settings.host, settings.port) as listener,
            ):
                serve_until(
                    shutdown,
                    create_app(run, metrics, draining=shutdown, beat=health.beat, announce=announce),
                    listener,
                    drain_seconds=settings.drain_seconds,
                    shutdown_seconds=settings.shutdown_seconds,
                )
