"""The HTTP application: the endpoints, and the layers that every request goes through."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

from ance import __version__
from ance.runtime.kubernetes.events import Announce, unheard
from ance.runtime.metrics import SearchMetrics
from ance.runtime.run import OpenRun
from services.search_api.routes import cohere, documents, health, indexes, latency, openai, search, tei, training
from services.search_api.routes.pages import page_paths, serve_pages
from services.search_api.service import SearchService
from services.search_api.settings import SearchSettings
from services.search_api.web import problems
from services.search_api.web.guard import Guard
from services.search_api.web.intake import Intake
from services.search_api.web.keys import KeyFile
from services.search_api.web.openapi import declare_keys
from services.search_api.web.telemetry import PROBES, Telemetry

BEAT_SECONDS = 1.0


def create_app(
    run: OpenRun[SearchSettings],
    metrics: SearchMetrics,
    draining: Callable[[], bool],
    beat: Callable[[], object] = lambda: None,
    announce: Announce = unheard,
) -> FastAPI:
    """The search service of one run.

    Args:
        draining: whether the process is about to end: /readyz then says no; requests are still answered.
        beat: called every second from the event loop: it is not stuck.
        announce: tells operators of a refused version.

    Raises:
        AnceError: the file of API keys cannot be used.
    """
    settings = run.settings
    service = SearchService(run, metrics, announce)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with service.running(), beating(beat):
            yield

    # The pages of /docs would load their scripts from elsewhere.
    app = FastAPI(title="ANCE search", version=__version__, lifespan=lifespan, docs_url=None, redoc_url=None)
    problems.install(app)
    topics = (search, documents, indexes, latency, training, openai, tei, cohere)
    for router in (*(topic.router(service) for topic in topics), health.router(service, draining)):
        app.include_router(router)
    serve_pages(app)

    # The one added last is the outermost.
    app.add_middleware(Intake, settings=settings)
    if settings.api_keys_file is not None:
        open_paths = PROBES | page_paths()
        app.add_middleware(Guard, keys=KeyFile(settings.api_keys_file), open_paths=open_paths)
        declare_keys(app, open_paths)
    if settings.cors_origins:
        origins = [origin.strip() for origin in settings.cors_origins.split(",")]
        app.add_middleware(CORSMiddleware, allow_origins=origins, allow_methods=["GET", "POST"], allow_headers=["*"])
    app.add_middleware(Telemetry, metrics=metrics, log_queries=settings.log_queries)
    return app


@asynccontextmanager
async def beating(beat: Callable[[], object]) -> AsyncIterator[None]:
    """Call `beat` every second in the block."""

    async def forever() -> None:
        while True:
            beat()
            await asyncio.sleep(BEAT_SECONDS)

    task = asyncio.create_task(forever())
    try:
        yield
    finally:
        task.cancel()
