"""The HTTP application: the endpoints, and the lifespan of the follower and the worker behind them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus

from fastapi import FastAPI, Request, Response

from ance import __version__
from ance.runtime.metrics import SearchMetrics
from ance.runtime.run import OpenRun
from services.search_api import problems
from services.search_api.models import SearchRequest, SearchResponse
from services.search_api.search import Searcher
from services.search_api.settings import SearchSettings
from services.search_api.swap import IndexFollower

VERSION_HEADER = "X-Ance-Index-Version"
DENSE = "dense"


def create_app(run: OpenRun[SearchSettings], metrics: SearchMetrics, draining: Callable[[], bool]) -> FastAPI:
    """The search service of one run.

    Args:
        draining: whether the process is about to end: /readyz then says no; requests are still answered.
    """
    follower = IndexFollower(run, metrics)
    searcher = Searcher(run.config.model.max_query_tokens, metrics)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        follower.start()
        yield
        await asyncio.to_thread(follower.stop)
        searcher.close()

    app = FastAPI(title="ANCE search", version=__version__, lifespan=lifespan)
    problems.install(app)

    @app.middleware("http")
    async def count(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
        if not request.url.path.startswith("/v1/"):
            return await call_next(request)
        started = time.perf_counter()
        code = HTTPStatus.INTERNAL_SERVER_ERROR.value
        try:
            response = await call_next(request)
            code = response.status_code
            return response
        finally:
            metrics.requests.labels(mode=DENSE, code=str(code)).inc()
            metrics.request_duration_seconds.labels(mode=DENSE).observe(time.perf_counter() - started)

    @app.post(
        "/v1/search",
        responses=problems.documented(HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.SERVICE_UNAVAILABLE),
    )
    async def search(body: SearchRequest, response: Response) -> SearchResponse:
        """The passages nearest to each query in the newest index."""
        if follower.current is None:
            raise problems.ProblemError(
                HTTPStatus.SERVICE_UNAVAILABLE,
                problems.NO_INDEX,
                "No index is loaded yet; retry when /readyz says so.",
                headers={"Retry-After": "5"},
            )
        answer = await searcher.submit(follower.current, body.texts, body.top_k)
        response.headers[VERSION_HEADER] = str(answer.index.version)
        return answer

    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        """The process answers."""
        return {"status": "ok"}

    @app.get("/readyz", responses=problems.documented(HTTPStatus.SERVICE_UNAVAILABLE))
    async def readyz() -> dict[str, str]:
        """An index is loaded and the process is not about to end."""
        if draining():
            raise problems.ProblemError(
                HTTPStatus.SERVICE_UNAVAILABLE, problems.DRAINING, "The service is shutting down."
            )
        if follower.current is None:
            raise problems.ProblemError(HTTPStatus.SERVICE_UNAVAILABLE, problems.NO_INDEX, "No index is loaded yet.")
        return {"status": "ready"}

    @app.get("/version")
    async def version() -> dict[str, str | int | None]:
        """Of the software, and of the index that it serves."""
        snapshot = follower.current
        return {
            "version": __version__,
            "run": run.config.run,
            "index": None if snapshot is None else snapshot.step,
        }

    return app
