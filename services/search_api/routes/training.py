"""The progress of the training."""

from fastapi import APIRouter

from services.search_api.models.training import TrainingReport
from services.search_api.routes.indexes import asking_store
from services.search_api.service import SearchService
from services.search_api.web.openapi import CHEAP
from services.search_api.web.problems import documented


def router(service: SearchService) -> APIRouter:
    """/v1/training."""
    routes = APIRouter(tags=["data"], responses=documented(*CHEAP))

    @routes.get("/v1/training")
    async def training() -> TrainingReport:
        """Async gap, loss and gradient norms by step, dev metrics by version, and the refresh under way."""
        return await asking_store(lambda: service.training.report(service.corpus.dataset()))

    return routes
