from pathlib import Path

import httpx
import pytest

from ance.runtime.metrics import SearchMetrics
from services.search_api.app import create_app
from services.search_api.web.problems import UNAUTHORISED
from tests.services.search_api.tiny_run import TinyRun
from tests.services.search_api.web.asking import asking

ENDPOINTS = [
    ("POST", "/v1/search"),
    ("GET", "/v1/search?q=red"),
    ("POST", "/v1/compare"),
    ("GET", "/v1/documents/p1"),
    ("GET", "/v1/indexes"),
    ("POST", "/v1/indexes/rollback"),
    ("POST", "/v1/indexes/unpin"),
    ("GET", "/v1/latency"),
    ("GET", "/v1/training"),
    ("POST", "/v1/embeddings"),
    ("POST", "/embed"),
    ("POST", "/rerank"),
    ("POST", "/v2/rerank"),
    ("GET", "/info"),
    ("GET", "/version"),
    ("GET", "/openapi.json"),
    ("GET", "/no/such/path"),
]


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    path = tmp_path / "keys"
    path.write_text("read reader\nadmin owner\n")
    return path


async def statuses(client: httpx.AsyncClient, key: str | None = None) -> dict[str, int]:
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    return {
        f"{method} {path}": (
            await client.request(method, path, headers=headers, json={} if method == "POST" else None)
        ).status_code
        for method, path in ENDPOINTS
    }


def test_without_a_valid_key_nothing_but_the_probes_answers(run: TinyRun, keys: Path) -> None:
    app = create_app(run.open(api_keys_file=keys, request_seconds=0.3), SearchMetrics(), lambda: False)
    for key in (None, "", "wrong"):
        assert set(asking(app, lambda client, key=key: statuses(client, key)).values()) == {401}
    assert asking(app, lambda client: client.get("/healthz")).status_code == 200
    assert asking(app, lambda client: client.get("/readyz")).status_code == 503
    response = asking(app, lambda client: client.get("/v1/latency"))
    assert response.headers["www-authenticate"] == "Bearer"
    assert response.json()["type"] == UNAUTHORISED


def test_a_read_key_reads_and_an_admin_key_does_all(run: TinyRun, keys: Path) -> None:
    app = create_app(run.open(api_keys_file=keys, request_seconds=0.3), SearchMetrics(), lambda: False)
    as_reader = asking(app, lambda client: statuses(client, "reader"))
    refused = {endpoint for endpoint, status in as_reader.items() if status in (401, 403)}
    assert refused == {"POST /v1/indexes/rollback", "POST /v1/indexes/unpin"}
    assert not {401, 403} & set(asking(app, lambda client: statuses(client, "owner")).values())


def test_the_key_may_come_in_a_header_of_its_own(run: TinyRun, keys: Path) -> None:
    app = create_app(run.open(api_keys_file=keys, request_seconds=0.3), SearchMetrics(), lambda: False)
    assert asking(app, lambda client: client.get("/version", headers={"X-API-Key": "reader"})).status_code == 200


def test_a_dialect_refuses_in_its_own_form(run: TinyRun, keys: Path) -> None:
    app = create_app(run.open(api_keys_file=keys, request_seconds=0.3), SearchMetrics(), lambda: False)
    response = asking(app, lambda client: client.post("/v1/embeddings", json={"input": "red"}))
    assert response.json()["error"]["type"] == "authentication_error"


def test_the_openapi_document_says_that_keys_are_needed_only_if_they_are(run: TinyRun, keys: Path) -> None:
    guarded = create_app(run.open(api_keys_file=keys, request_seconds=0.3), SearchMetrics(), lambda: False).openapi()
    assert guarded["paths"]["/v1/search"]["post"]["security"] == [{"bearer": []}, {"header": []}]
    assert guarded["paths"]["/healthz"]["get"]["security"] == []
    assert (
        "security"
        not in create_app(run.open(), SearchMetrics(), lambda: False).openapi()["paths"]["/v1/search"]["post"]
    )
