import json
from collections.abc import Iterator
from http import HTTPStatus

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from pydantic import BaseModel

from services.search_api.web import problems


class Body(BaseModel, extra="forbid"):
    names: list[str]


@pytest.fixture
def client() -> Iterator[TestClient]:
    app = FastAPI()
    problems.install(app)

    @app.post("/names")
    def names(body: Body) -> Body:
        return body

    @app.get("/full")
    def full() -> None:
        raise problems.ProblemError(
            HTTPStatus.SERVICE_UNAVAILABLE, "urn:test:full", "All seats are taken.", {"Retry-After": "3"}
        )

    @app.get("/broken")
    def broken() -> None:
        raise RuntimeError("secret")

    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


def test_an_unknown_path_is_a_problem(client: TestClient) -> None:
    response = client.get("/nowhere")
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json() == {
        "type": "about:blank",
        "title": "Not Found",
        "status": 404,
        "detail": "Not Found",
        "instance": "/nowhere",
    }


def test_a_wrong_method_is_a_problem_that_says_which_is_right(client: TestClient) -> None:
    response = client.get("/names")
    assert (response.status_code, response.json()["status"]) == (405, 405)
    assert response.headers["allow"] == "POST"


def test_an_invalid_field_is_named_by_its_pointer(client: TestClient) -> None:
    response = client.post("/names", json={"names": ["a", 2]})
    assert response.status_code == 422
    assert response.json()["type"] == problems.INVALID_REQUEST
    assert response.json()["errors"] == [{"pointer": "#/names/1", "detail": "Input should be a valid string"}]


def test_a_field_name_is_escaped_in_its_pointer(client: TestClient) -> None:
    response = client.post("/names", json={"names": [], "a/~ü": 1})
    assert [error["pointer"] for error in response.json()["errors"]] == ["#/a~1~0%C3%BC"]


def test_a_body_that_is_not_json_is_a_problem_of_the_whole_body(client: TestClient) -> None:
    response = client.post("/names", content="{", headers={"content-type": "application/json"})
    assert response.status_code == 422
    [error] = response.json()["errors"]
    assert error["pointer"] == "#"
    assert error["detail"].startswith("not valid JSON")


def test_a_problem_carries_its_own_type_and_headers(client: TestClient) -> None:
    response = client.get("/full")
    assert response.status_code == 503
    assert response.headers["retry-after"] == "3"
    assert response.json()["type"] == "urn:test:full"
    assert response.json()["detail"] == "All seats are taken."


def test_an_unexpected_error_is_a_problem_that_tells_no_internals(client: TestClient) -> None:
    response = client.get("/broken")
    assert response.status_code == 500
    assert response.headers["content-type"] == "application/problem+json"
    assert "secret" not in response.text


def test_half_a_surrogate_pair_is_replaced_because_it_cannot_be_sent() -> None:
    response = problems.respond("/a\ud800", HTTPStatus.NOT_FOUND, "no \udfff")
    assert json.loads(response.body) | {"instance": "/a?", "detail": "no ?"} == json.loads(response.body)
    assert problems.field_error({"type": "x", "loc": ("body", "\ud800"), "msg": "bad"})["pointer"] == "#/%3F"
