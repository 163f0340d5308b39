"""The OpenAPI document: every endpoint has an example that works, and schemathesis finds nothing."""

from __future__ import annotations

from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode

from services.search_api.web.intake import TIMEOUT_HEADER
from tests.services.search_api.live import Live
from tests.services.search_api.tiny_run import TinyRun

EXAMPLES = 3


def operations(document: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [
        (path, method, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]


def test_every_body_has_an_example_that_is_answered(ready: tuple[Live, TinyRun]) -> None:
    live, _ = ready
    tried = 0
    for path, method, operation in operations(live.client.get("/openapi.json").json()):
        if method == "post" and "requestBody" in operation and "rollback" not in path:
            examples = operation["requestBody"]["content"]["application/json"]["examples"]
            for name, example in examples.items():
                response = live.client.post(path, json=example["value"])
                assert response.status_code == 200, (path, name, response.text)
                tried += 1
    assert tried >= 8


def test_errors_are_documented_in_the_form_that_they_have(ready: tuple[Live, TinyRun]) -> None:
    live, _ = ready
    document = live.client.get("/openapi.json").json()
    for path, _, operation in operations(document):
        errors = {code: entry for code, entry in operation["responses"].items() if int(code) >= 400}
        kinds = {kind for entry in errors.values() for kind in entry["content"]}
        dialect = path in ("/v1/embeddings", "/embed", "/rerank", "/v2/rerank", "/info")
        assert kinds <= {"application/json" if dialect else "application/problem+json"}, path
    search = document["paths"]["/v1/search"]["post"]["responses"]
    assert {"200", "413", "415", "422", "429", "503", "504"} <= set(search)


@pytest.mark.timeout(100)
@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
def test_schemathesis_finds_nothing(ready: tuple[Live, TinyRun], mode: GenerationMode) -> None:
    live, _ = ready
    schema = schemathesis.openapi.from_dict(live.client.get("/openapi.json").json())
    schema.config.update(base_url=str(live.client.base_url))
    # A body may be wrong by being too large.
    schema.config.checks.negative_data_rejection.expected_statuses.append("413")
    limits = settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    tested = 0
    with requests.Session() as session:
        for result in schema.get_all_operations():
            operation = result.ok()
            # Those would change what the other tests read; routes/test_indexes.py has them.
            if operation.path in ("/v1/indexes/rollback", "/v1/indexes/unpin"):
                continue

            @limits
            @given(case=operation.as_strategy(generation_mode=mode))
            def validate(case: schemathesis.Case) -> None:
                case.headers.pop(TIMEOUT_HEADER, None)  # a billionth of a second is valid, and no server's fault
                if mode is GenerationMode.POSITIVE and isinstance(case.body, dict):
                    case.body.pop("dimensions", None)  # only the encoder's own width is right, and no schema knows it
                case.call_and_validate(session=session)

            try:
                validate()
            except Unsatisfiable:  # e.g. nothing can be wrong with a request that has no parameters
                assert mode is GenerationMode.NEGATIVE, operation.label
                continue
            tested += 1
    assert tested >= (14 if mode is GenerationMode.POSITIVE else 7)
