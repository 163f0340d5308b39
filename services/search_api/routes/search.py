"""Search, and the comparison with the cross-encoder."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Body, Query, Request, Response

from services.search_api.models.base import Mode, QueryText, TopK
from services.search_api.models.compare import CompareRequest, CompareResponse, Overlap
from services.search_api.models.search import CANDIDATES, FIELDS, FieldName, SearchRequest, SearchResponse
from services.search_api.service import SearchService
from services.search_api.web.exchange import exchange_of
from services.search_api.web.openapi import COSTLY, TIMEOUT_PARAMETER
from services.search_api.web.problems import documented
from services.search_api.web.responses import VERSION_HEADER, json_response

SEARCH_EXAMPLES: dict[str, Any] = {
    "one query": {"value": {"query": "read a CSV file", "top_k": 3}},
    "several queries": {"value": {"queries": ["open a socket", "parse JSON"], "top_k": 5, "fields": ["title"]}},
    "BM25 and the cross-encoder": {"value": {"query": "read a CSV file", "mode": "rerank", "candidates": 50}},
    "without some documents": {"value": {"query": "parse JSON", "filter": {"exclude_ids": ["json.loads"]}}},
}
COMPARE_EXAMPLES: dict[str, Any] = {"one query": {"value": {"query": "read a CSV file", "top_k": 5}}}
HEADERS = {VERSION_HEADER: {"description": "Version of the index that answered.", "schema": {"type": "string"}}}


def router(service: SearchService) -> APIRouter:
    """/v1/search and /v1/compare."""
    routes = APIRouter(tags=["search"], responses=documented(*COSTLY))
    answers: dict[int | str, dict[str, Any]] = {int(HTTPStatus.OK): {"model": SearchResponse, "headers": HEADERS}}

    async def answer(http: Request, request: SearchRequest) -> Response:
        exchange_of(http).note(request.mode, request.texts, top_k=request.top_k)
        response = await service.pipeline.search(request)
        service.replay.consider(request, response)
        return json_response(response, None if response.index is None else response.index.version)

    @routes.post("/v1/search", responses=answers, openapi_extra={"parameters": [TIMEOUT_PARAMETER]})
    async def search(
        http: Request, request: Annotated[SearchRequest, Body(openapi_examples=SEARCH_EXAMPLES)]
    ) -> Response:
        """The best passages for one query or several, all from one version of the index."""
        return await answer(http, request)

    @routes.get("/v1/search", responses=answers, openapi_extra={"parameters": [TIMEOUT_PARAMETER]})
    async def search_by_get(
        http: Request,
        q: Annotated[QueryText, Query(description="The query.", examples=["read a CSV file"])],
        top_k: Annotated[int, Query(ge=1, le=1000)] = 10,
        mode: Mode = "dense",
        candidates: Annotated[int, Query(ge=1, le=1000)] = CANDIDATES,
        fields: Annotated[tuple[FieldName, ...], Query(max_length=2)] = FIELDS,
    ) -> Response:
        """The same for one query, for browsers and curl."""
        request = SearchRequest(query=q, top_k=top_k, mode=mode, candidates=candidates, fields=fields)
        return await answer(http, request)

    @routes.post(
        "/v1/compare",
        responses={int(HTTPStatus.OK): {"model": CompareResponse, "headers": HEADERS}},
        openapi_extra={"parameters": [TIMEOUT_PARAMETER]},
    )
    async def compare(
        http: Request, request: Annotated[CompareRequest, Body(openapi_examples=COMPARE_EXAMPLES)]
    ) -> Response:
        """One query answered both ways, by the index and by BM25 with the cross-encoder."""
        exchange_of(http).note("compare", (request.query,), top_k=request.top_k)
        comparison = await compared(service, request)
        index = comparison.dense.index
        return json_response(comparison, None if index is None else index.version)

    return routes


async def compared(service: SearchService, request: CompareRequest) -> CompareResponse:
    """Search both ways, one after the other."""
    ways: tuple[Mode, Mode] = ("dense", "rerank")
    top_k: TopK = request.top_k
    dense, rerank = [
        await service.pipeline.search(
            SearchRequest(query=request.query, top_k=top_k, candidates=request.candidates, mode=way)
        )
        for way in ways
    ]
    service.latency.add_pair(dense.timings.total, rerank.timings.total)
    return CompareResponse(
        dense=dense,
        rerank=rerank,
        overlap=_overlap(dense, rerank),
        speed_up=rerank.timings.total / dense.timings.total,
    )


def _overlap(dense: SearchResponse, rerank: SearchResponse) -> Overlap:
    first, second = ([hit.id for hit in response.results[0].hits] for response in (dense, rerank))
    both = tuple(key for key in first if key in set(second))
    longest = max(len(first), len(second))
    return Overlap(count=len(both), ratio=len(both) / longest if longest else 0.0, ids=both)
