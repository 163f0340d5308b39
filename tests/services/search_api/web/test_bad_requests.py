"""More than 200 bad requests: each gets a 4xx in the right form, and the service goes on."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import httpx

from ance.runtime.metrics import SearchMetrics
from services.search_api.app import create_app
from tests.services.search_api.tiny_run import TinyRun
from tests.services.search_api.web.asking import asking

JSON = {"content-type": "application/json"}
NOT_STRINGS: list[Any] = [None, 7, 1.5, True, [], {}, [None], {"a": 1}]
NOT_COUNTS: list[Any] = [None, 0, -1, 1001, 10**30, 1.5, "7", "", True, [], {}]
BLANKS = ["", " ", "\t\n", "\u2003\u00a0"]


class Bad(NamedTuple):
    method: str
    path: str
    content: bytes | None = None
    headers: dict[str, str] = {}  # noqa: RUF012


def posts(path: str, *bodies: Any) -> Iterator[Bad]:
    return (Bad("POST", path, json.dumps(body).encode(), JSON) for body in bodies)


def raw(path: str, *contents: bytes) -> Iterator[Bad]:
    return (Bad("POST", path, content, JSON) for content in contents)


def bad_requests() -> Iterator[Bad]:
    """Sizes, types, encodings, numbers that JSON does not have, paths and methods."""
    search = "/v1/search"
    yield from posts(search, *({"query": value} for value in [*NOT_STRINGS, *BLANKS, "x" * 10_001]))
    yield from posts(
        search, *({"queries": value} for value in [None, 7, "red", {}, [], [None], [7], [""], ["x"] * 129])
    )
    yield from posts(search, *({"query": "red", "top_k": value} for value in NOT_COUNTS))
    yield from posts(search, *({"query": "red", "candidates": value} for value in NOT_COUNTS))
    yield from posts(
        search, *({"query": "red", "mode": value} for value in [None, 7, "", "DENSE", "ann", [], "dense "])
    )
    yield from posts(
        search, *({"query": "red", "fields": value} for value in [None, "title", ["id"], [7], ["title"] * 3, {}])
    )
    filters = [[], "p1", 7, {"ids": []}, {"ids": "p1"}, {"ids": [7]}, {"ids": ["p"] * 1001}, {"id": ["p1"]}]
    yield from posts(search, *({"query": "red", "filter": value} for value in filters))
    yield from posts(
        search, {}, {"query": "red", "queries": ["red"]}, {"query": "red", "topk": 3}, {"": 1}, {"\ud800": 1}
    )
    yield from posts(search, *({"query": text} for text in ("\ud800", "a\udfff", "\udc00\ud800")))
    yield from posts(search, None, 7, "red", [], [{}], True)
    broken = [b"", b"{", b"}", b'{"query"', b'{"query": "red"', b'{"query": "red",}', b"{'query': 'red'}", b"\x00"]
    broken += [b"\xff\xfe", b'{"query": "\xff"}', b'{"query": "\xc3\x28"}', b"null", b"nul", b"NaN", b"[" * 5000]
    broken += [b'{"query": "red", "top_k": %s}' % number for number in (b"NaN", b"Infinity", b"-Infinity", b"1e400")]
    broken += [b'{"query": "red", "top_k": %s}' % (b"9" * 5000), b"[" * 100_000, b'{"query": "red"} trailing']
    yield from raw(search, *broken)
    yield from raw("/v1/compare", *broken[:12])
    yield from posts("/v1/compare", *({"query": value} for value in [*NOT_STRINGS, *BLANKS]))
    yield from posts("/v1/compare", {}, {"queries": ["red"]}, *({"query": "a", "top_k": value} for value in NOT_COUNTS))
    queries = ["", "q=", "q=%20", "q=a&top_k=0", "q=a&top_k=x", "q=a&top_k=1001", "q=a&mode=none", "q=a&fields=id"]
    queries += ["q=a&candidates=-1", "q=" + "x" * 10_001, "q=a&top_k=1e1", "q=a&top_k=", "query=a", "q=a&top_k=nan"]
    yield from (Bad("GET", f"{search}?{query}") for query in queries)
    yield from posts("/v1/indexes/rollback", {}, *({"version": v} for v in [None, -1, 1.5, "1", True, [], 2**60]))
    yield from posts("/v1/embeddings", {}, *({"input": v} for v in [None, 7, "", [], [7], [[1]], [""], ["x"] * 129]))
    yield from posts("/v1/embeddings", {"input": "a", "encoding_format": "hex"}, {"input": "a", "dimensions": 0})
    yield from posts("/embed", {}, *({"inputs": v} for v in [None, 7, "", [], [7], [""], ["x"] * 129]))
    yield from posts("/embed", {"inputs": "a", "normalize": "yes"}, {"inputs": "x" * 100_001})
    yield from posts("/rerank", {}, {"query": "a"}, {"texts": ["a"]}, {"query": "", "texts": ["a"]})
    yield from posts("/rerank", *({"query": "a", "texts": v} for v in [None, [], "a", [7], ["a"] * 1001]))
    yield from posts("/v2/rerank", {}, *({"query": "a", "documents": v} for v in [None, [], "a", [7], [{}]]))
    yield from posts("/v2/rerank", *({"query": "a", "documents": ["a"], "top_n": v} for v in [0, -1, 1.5, "1"]))
    yield from raw("/v1/embeddings", *broken[:6])
    yield from raw("/v2/rerank", *broken[:6])
    kinds = ["text/plain", "multipart/form-data", "application/xml", "application/x-www-form-urlencoded", ""]
    yield from (Bad("POST", search, b'{"query": "red"}', {"content-type": kind}) for kind in kinds)
    yield Bad("POST", search, b'{"query": "red"}', {**JSON, "content-encoding": "br"})
    yield from (Bad("POST", search, b'{"query": "red"}', {**JSON, "x-request-timeout": value}) for value in ("-1", "x"))
    paths = ["/v1/search", "/v1/compare", "/v1/embeddings", "/healthz", "/v1/latency"]
    yield from (Bad(method, path) for method, path in itertools.product(["PUT", "DELETE", "PATCH"], paths))
    yield from (Bad("GET", path) for path in ["/v1", "/v1/", "/v2/search", "/..%2f..%2fetc/passwd", "/%ff", "/a%00b"])
    yield Bad("GET", "/v1/compare")
    yield Bad("POST", search, b'{"query": "' + b"x" * (2 << 20) + b'"}', JSON)


def test_bad_requests_are_problems_of_the_client_and_the_service_goes_on(run: TinyRun) -> None:
    bads = list(bad_requests())
    assert len(bads) > 200
    app = create_app(run.open(), SearchMetrics(), lambda: False)

    async def ask(client: httpx.AsyncClient) -> list[httpx.Response]:
        answers = [await client.request(bad.method, bad.path, content=bad.content, headers=bad.headers) for bad in bads]
        assert (await client.get("/healthz")).status_code == 200
        return answers

    dialects = {"/v1/embeddings": "error", "/embed": "error", "/rerank": "error", "/v2/rerank": "message"}
    for bad, answer in zip(bads, asking(app, ask), strict=True):
        shown = (bad.method, bad.path[:80], (bad.content or b"")[:80], answer.status_code, answer.text[:200])
        assert 400 <= answer.status_code < 500, shown
        body = answer.json()
        if bad.path in dialects:
            assert dialects[bad.path] in body, shown
        else:
            assert answer.headers["content-type"] == "application/problem+json", shown
            assert body["status"] == answer.status_code and body["detail"] and body["instance"], shown
