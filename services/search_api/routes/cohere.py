"""The dialect of Cohere and Jina: reranking."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Body, Request, Response

from services.search_api.engine.rankings import best_first, sigmoid
from services.search_api.models.cohere import Rank, RerankRequest, RerankResponse, TextDocument
from services.search_api.service import SearchService
from services.search_api.web.dialects import COHERE
from services.search_api.web.exchange import exchange_of
from services.search_api.web.openapi import COSTLY
from services.search_api.web.responses import json_response

EXAMPLES: dict[str, Any] = {
    "two documents": {"value": {"query": "read a CSV file", "documents": ["csv.reader", "json.loads"], "top_n": 1}}
}


def router(service: SearchService) -> APIRouter:
    """/v2/rerank."""
    routes = APIRouter(tags=["compatible"], responses=COHERE.documented(*COSTLY))

    @routes.post("/v2/rerank", responses={int(HTTPStatus.OK): {"model": RerankResponse}})
    async def rerank(http: Request, request: Annotated[RerankRequest, Body(openapi_examples=EXAMPLES)]) -> Response:
        """Documents by the score of the run's cross-encoder, best first."""
        exchange = exchange_of(http)
        exchange.note("score", (request.query,), documents=len(request.documents))
        texts = request.texts
        [logits] = (await service.pipeline.score(request.query, texts)).scores
        relevance = sigmoid(logits)
        results = tuple(
            Rank(
                index=index,
                relevance_score=float(relevance[index]),
                document=TextDocument(text=texts[index]) if request.return_documents else None,
            )
            for index in best_first(logits)[: request.top_n]
        )
        return json_response(RerankResponse(id=exchange.request_id, model=request.model, results=results))

    return routes
