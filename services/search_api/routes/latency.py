"""Latency statistics."""

from fastapi import APIRouter

from services.search_api.models.latency import LatencyReport
from services.search_api.service import SearchService
from services.search_api.web.openapi import CHEAP
from services.search_api.web.problems import documented


def router(service: SearchService) -> APIRouter:
    """/v1/latency."""
    routes = APIRouter(tags=["data"], responses=documented(*CHEAP))

    @routes.get("/v1/latency")
    async def latency() -> LatencyReport:
        """Quantiles of the recent requests by mode and stage, and how much faster dense search is."""
        return service.latency.report()

    return routes
