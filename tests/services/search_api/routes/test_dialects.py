"""The dialects, each asked by the client package that people use."""

import httpx
import numpy as np
import pytest

from ance.model.cross_encoder import CrossEncoder
from ance.model.encoding import TextEncoder
from tests.services.search_api.live import Live
from tests.services.search_api.tiny_run import TinyRun

TEXTS = ["fast red", "the slow green cat", "large house"]


@pytest.fixture
def url(ready: tuple[Live, TinyRun]) -> str:
    return str(ready[0].client.base_url).rstrip("/")


@pytest.fixture
def vectors(ready: tuple[Live, TinyRun]) -> np.ndarray:
    _, run = ready
    return TextEncoder.load(run.path(run.layout.checkpoint(2))).encode_texts(TEXTS, 16)


@pytest.fixture
def logits(ready: tuple[Live, TinyRun]) -> np.ndarray:
    _, run = ready
    return CrossEncoder.load(run.path(run.layout.reranker(1))).score("red", TEXTS)


@pytest.mark.parametrize("options", [{}, {"encoding_format": "float"}, {"encoding_format": "base64"}])
def test_openai_gets_the_encoders_vectors(url: str, vectors: np.ndarray, options: dict[str, str]) -> None:
    import base64

    import openai

    with openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client:
        answer = client.embeddings.create(input=TEXTS, model="ance", **options)  # type: ignore[call-overload]
    got = [entry.embedding for entry in answer.data]
    if options.get("encoding_format") == "base64":
        got = [np.frombuffer(base64.b64decode(vector), "<f4") for vector in got]
    np.testing.assert_allclose(got, vectors, rtol=1e-4, atol=1e-5)
    assert [entry.index for entry in answer.data] == [0, 1, 2]
    assert answer.usage.prompt_tokens == answer.usage.total_tokens == 4 + 6 + 4


def test_openai_gets_errors_in_its_own_form(url: str) -> None:
    import openai

    with openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client:
        with pytest.raises(openai.BadRequestError) as wrong_width:
            client.embeddings.create(input="red", model="ance", dimensions=7)
        with pytest.raises(openai.BadRequestError) as tokens:
            client.embeddings.create(input=[[1, 2, 3]], model="ance")
    assert wrong_width.value.type == "invalid_request_error"
    assert "32" in wrong_width.value.message
    assert tokens.value.type == "invalid_request_error"


def test_tei_embeds_with_unit_length_unless_told_otherwise(
    url: str, vectors: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import InferenceClient, constants

    # `make test` keeps the hub away with it, and the client then asks nobody, not even this machine.
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    with InferenceClient(model=f"{url}/embed", token="none") as client:
        for text, vector in zip(TEXTS, unit, strict=True):
            np.testing.assert_allclose(client.feature_extraction(text), [vector], rtol=1e-4, atol=1e-5)
        raw = client.feature_extraction(TEXTS[0], normalize=False)
    np.testing.assert_allclose(raw, vectors[:1], rtol=1e-4, atol=1e-5)


def test_tei_reranks_best_first(url: str, logits: np.ndarray) -> None:
    best = np.argsort(-logits, kind="stable").tolist()
    body = {"query": "red", "texts": TEXTS, "return_text": True}
    ranks = httpx.post(f"{url}/rerank", json=body).json()
    assert [rank["index"] for rank in ranks] == best
    assert [rank["text"] for rank in ranks] == [TEXTS[index] for index in best]
    assert [rank["score"] for rank in ranks] == pytest.approx((1 / (1 + np.exp(-logits[best]))).tolist(), rel=1e-4)
    raw = httpx.post(f"{url}/rerank", json=body | {"raw_scores": True}).json()
    assert [rank["score"] for rank in raw] == pytest.approx(logits[best].tolist(), rel=1e-4, abs=1e-6)


def test_tei_says_what_runs_and_errors_in_its_own_form(url: str) -> None:
    assert httpx.get(f"{url}/info").json()["max_input_length"] == 16
    response = httpx.post(f"{url}/embed", json={"inputs": []})
    assert response.status_code == 422
    assert response.json().keys() == {"error", "error_type"} and response.json()["error_type"] == "validation"


def test_cohere_reranks_best_first(url: str, logits: np.ndarray) -> None:
    import cohere

    with httpx.Client() as http:
        client = cohere.ClientV2(api_key="none", base_url=url, httpx_client=http)
        answer = client.rerank(model="ance", query="red", documents=TEXTS, top_n=2)
        with pytest.raises(cohere.BadRequestError) as error:
            client.rerank(model="ance", query="red", documents=[])
    best = np.argsort(-logits, kind="stable").tolist()[:2]
    assert [result.index for result in answer.results] == best
    relevance = (1 / (1 + np.exp(-logits[best]))).tolist()
    assert [result.relevance_score for result in answer.results] == pytest.approx(relevance, rel=1e-4)
    assert set(error.value.body) == {"message"}


def test_jina_documents_are_objects_and_come_back(url: str) -> None:
    body = {"query": "red", "documents": [{"text": text} for text in TEXTS], "return_documents": True}
    response = httpx.post(f"{url}/v2/rerank", json=body)
    results = response.json()["results"]
    assert [result["document"]["text"] for result in results] == [TEXTS[result["index"]] for result in results]
    assert response.json()["id"] == response.headers["x-request-id"]
