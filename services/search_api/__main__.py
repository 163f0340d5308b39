"""Start a search replica: `python -m services.search_api`."""

from ance.runtime.metrics import SearchMetrics, serve
from ance.runtime.process import limit_threads, run_service
from ance.runtime.run import open_run
from ance.runtime.shutdown import Shutdown
from services.search_api.app import create_app
from services.search_api.server import listen, serve_until
from services.search_api.settings import SearchSettings


def main() -> None:
    """Wire the process together and answer until SIGTERM. The store is only read: it may be mounted so."""
    with Shutdown() as shutdown:
        run = open_run(SearchSettings, "search_api", shutdown, writes=False)
        settings = run.settings
        limit_threads(settings.threads)
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
