"""Start a search replica: `python -m services.search_api`."""

from ance.runtime import logs
from ance.runtime.layout import RunLayout
from ance.runtime.metrics import SearchMetrics, serve
from ance.runtime.process import limit_threads, run_service
from ance.runtime.run import OpenRun, read_config
from ance.runtime.settings import load
from ance.runtime.shutdown import Shutdown
from ance.runtime.store import Store
from services.search_api.app import create_app
from services.search_api.server import listen, serve_until
from services.search_api.settings import SearchSettings

STORE_RETRY_SECONDS = 60.0
"""Patience of one call to the store. The index pointer is polled again anyway."""


def main() -> None:
    """Wire the process together and answer until SIGTERM. The store is only read: it may be mounted so."""
    settings = load(SearchSettings)
    logs.configure("search_api", settings.log_format, level=settings.log_level, run=settings.run)
    limit_threads(settings.threads)
    with Shutdown() as shutdown:
        store = Store.open(settings.store, retry_seconds=STORE_RETRY_SECONDS, wait=shutdown.wait)
        layout = RunLayout(settings.run)
        run = OpenRun(settings, read_config(store, layout), store, layout)
        metrics = SearchMetrics()
        app = create_app(run, metrics, draining=shutdown)
        with listen(settings.host, settings.port) as listener, serve(metrics.registry, settings.metrics_port):
            serve_until(
                shutdown,
                app,
                listener,
                drain_seconds=settings.drain_seconds,
                shutdown_seconds=settings.shutdown_seconds,
            )


if __name__ == "__main__":
    run_service("search_api", main)
