"""The dialect of OpenAI: embeddings."""

from __future__ import annotations

import base64
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Body, Request, Response

from services.search_api.models.openai import Embedding, EmbeddingsRequest, EmbeddingsResponse, Usage
from services.search_api.service import SearchService
from services.search_api.web.dialects import OPENAI
from services.search_api.web.exchange import exchange_of
from services.search_api.web.openapi import COSTLY
from services.search_api.web.problems import INVALID_REQUEST, ProblemError
from services.search_api.web.responses import json_response

EXAMPLES: dict[str, Any] = {"two texts": {"value": {"input": ["read a CSV file", "parse JSON"], "model": "ance"}}}


def router(service: SearchService) -> APIRouter:
    """/v1/embeddings."""
    routes = APIRouter(tags=["compatible"], responses=OPENAI.documented(*COSTLY))

    @routes.post("/v1/embeddings", responses={int(HTTPStatus.OK): {"model": EmbeddingsResponse}})
    async def embeddings(
        http: Request, request: Annotated[EmbeddingsRequest, Body(openapi_examples=EXAMPLES)]
    ) -> Response:
        """Vectors by the encoder of the newest index, as OpenAI's clients ask for them."""
        exchange_of(http).note("embed", request.texts)
        answer = await service.pipeline.encode(request.texts)
        width = answer.vectors.shape[1]
        if request.dimensions not in (None, width):
            raise ProblemError(
                HTTPStatus.UNPROCESSABLE_ENTITY, INVALID_REQUEST, f"dimensions: this encoder has {width}."
            )
        encoded = request.encoding_format == "base64"
        data = tuple(
            Embedding(
                index=number,
                embedding=base64.b64encode(vector.astype("<f4").tobytes()).decode() if encoded else vector.tolist(),
            )
            for number, vector in enumerate(answer.vectors)
        )
        usage = Usage(prompt_tokens=answer.tokens, total_tokens=answer.tokens)
        return json_response(EmbeddingsResponse(data=data, model=request.model, usage=usage), answer.index.version)

    return routes
