"""The dialect of Hugging Face's text-embeddings-inference (TEI)."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Body, Request, Response

from ance import __version__
from services.search_api.engine.rankings import best_first, sigmoid
from services.search_api.models.base import MAX_QUERIES
from services.search_api.models.tei import (
    EmbedRequest,
    EmbedResponse,
    TeiInfo,
    TeiRank,
    TeiRerankRequest,
    TeiRerankResponse,
)
from services.search_api.service import SearchService
from services.search_api.web.dialects import TEI
from services.search_api.web.exchange import exchange_of
from services.search_api.web.openapi import CHEAP, COSTLY
from services.search_api.web.responses import json_response

EMBED_EXAMPLES: dict[str, Any] = {"two texts": {"value": {"inputs": ["read a CSV file", "parse JSON"]}}}
RERANK_EXAMPLES: dict[str, Any] = {
    "two texts": {"value": {"query": "read a CSV file", "texts": ["csv.reader", "json.loads"]}}
}


def router(service: SearchService) -> APIRouter:
    """/embed, /rerank and /info."""
    routes = APIRouter(tags=["compatible"])

    @routes.post("/embed", responses={**TEI.documented(*COSTLY), int(HTTPStatus.OK): {"model": EmbedResponse}})
    async def embed(http: Request, request: Annotated[EmbedRequest, Body(openapi_examples=EMBED_EXAMPLES)]) -> Response:
        """Vectors by the encoder of the newest index."""
        import numpy as np

        exchange_of(http).note("embed", request.texts)
        answer = await service.pipeline.encode(request.texts)
        vectors = answer.vectors
        if request.normalize:
            lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
            vectors = vectors / np.maximum(lengths, np.finfo(np.float32).tiny)
        return json_response(EmbedResponse(tuple(map(tuple, vectors.tolist()))), answer.index.version)

    @routes.post("/rerank", responses={**TEI.documented(*COSTLY), int(HTTPStatus.OK): {"model": TeiRerankResponse}})
    async def rerank(
        http: Request, request: Annotated[TeiRerankRequest, Body(openapi_examples=RERANK_EXAMPLES)]
    ) -> Response:
        """Texts by the score of the run's cross-encoder, best first."""
        exchange_of(http).note("score", (request.query,), documents=len(request.texts))
        [logits] = (await service.pipeline.score(request.query, request.texts)).scores
        scores = logits if request.raw_scores else sigmoid(logits)
        ranks = (
            TeiRank(index=index, score=float(scores[index]), text=request.texts[index] if request.return_text else None)
            for index in best_first(logits)
        )
        return json_response(TeiRerankResponse(tuple(ranks)))

    @routes.get("/info", responses=TEI.documented(*CHEAP))
    async def info() -> TeiInfo:
        """What runs here."""
        config, settings = service.run.config, service.run.settings
        return TeiInfo(
            model_id=config.run,
            model_type={"embedding": {"pooling": config.model.pooling}},
            max_input_length=config.model.max_passage_tokens,
            max_client_batch_size=MAX_QUERIES,
            max_concurrent_requests=settings.max_queued_queries,
            version=__version__,
        )

    return routes
