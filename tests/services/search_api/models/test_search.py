import pytest
from pydantic import ValidationError

from services.search_api.models.base import MAX_QUERIES
from services.search_api.models.search import SearchRequest


def test_one_query_and_several_are_answered_alike() -> None:
    assert SearchRequest.model_validate({"query": "red"}).texts == ("red",)
    assert SearchRequest.model_validate({"queries": ["red", "green"]}).texts == ("red", "green")


def test_ten_passages_are_returned_unless_asked_otherwise() -> None:
    assert SearchRequest(query="red").top_k == 10


def test_white_space_around_a_query_does_not_count() -> None:
    assert SearchRequest(query="  red ").texts == ("red",)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"query": "red", "queries": ["green"]},
        {"query": None},
        {"query": " "},
        {"queries": []},
        {"queries": ["red"] * (MAX_QUERIES + 1)},
        {"query": "red", "top_k": 0},
        {"query": "red", "top_k": 1001},
        {"query": "red", "topk": 3},
        {"query": "x" * 10_001},
        {"query": 7},
    ],
)
def test_other_requests_are_invalid(body: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        SearchRequest.model_validate(body)
