"""Settings of a sentence-transformers folder that change its vectors, against sentence-transformers itself."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer

from ance.errors import AnceError
from ance.model.bi_encoder import BiEncoder
from ance.model.encoding import TextEncoder
from tests.model.conftest import TEXTS, Start, started

SETTINGS, TRANSFORMER = "config_sentence_transformers.json", "sentence_bert_config.json"


def change(path: Path, **values: object) -> None:
    """Set values in a JSON file."""
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"prompts": {"query": "word1 ", "document": ""}}, '{"query": "word1 "}'),
        ({"prompts": {"query": "", "passage": "word2 "}}, '{"passage": "word2 "}'),
        ({"prompts": {"sts": "word3 "}, "default_prompt_name": "sts"}, '{"sts": "word3 "}'),
    ],
)
def test_prompts_are_never_left_out_in_silence(
    start: Start, tmp_path: Path, settings: dict[str, object], named: str
) -> None:
    start().save(tmp_path)
    change(tmp_path / SETTINGS, **settings)
    for load in (started, BiEncoder.load):
        with pytest.raises(
            AnceError, match=rf"{SETTINGS}: puts prompts before texts, {named}, .*: use another model, or"
        ):
            load(tmp_path)


@pytest.mark.parametrize(
    "settings",
    [{"prompts": {"query": "", "document": "", "sts": "word3 "}, "default_prompt_name": None}, {"prompts": {}}],
)
def test_prompts_that_no_query_and_no_passage_gets_do_no_harm(
    start: Start, tmp_path: Path, settings: dict[str, object]
) -> None:
    start().save(tmp_path)
    change(tmp_path / SETTINGS, **settings)
    peer, ours = SentenceTransformer(str(tmp_path), device="cpu"), TextEncoder.load(tmp_path)
    np.testing.assert_allclose(ours.encode_texts(TEXTS, 32), peer.encode_query(TEXTS), atol=1e-5)


def test_prompts_of_two_towers_are_those_of_the_whole(start: Start, tmp_path: Path) -> None:
    start(shared=False).save(tmp_path)
    change(tmp_path / SETTINGS, prompts={"query": "word1 "})
    with pytest.raises(AnceError, match=r"puts prompts before texts"):
        started(tmp_path, shared=False)


def test_lower_case_is_never_left_out_in_silence(start: Start, tmp_path: Path) -> None:
    start().save(tmp_path)
    change(tmp_path / TRANSFORMER, do_lower_case=True)
    shouted = [text.upper() for text in TEXTS]
    peer, ours = SentenceTransformer(str(tmp_path), device="cpu"), TextEncoder.load(tmp_path)
    np.testing.assert_allclose(ours.encode_texts(shouted, 32), peer.encode(TEXTS), atol=1e-5)

    change(tmp_path / "tokenizer.json", normalizer=None)
    peer = SentenceTransformer(str(tmp_path), device="cpu")
    np.testing.assert_allclose(peer.encode(shouted), peer.encode(TEXTS), atol=1e-5)
    with pytest.raises(AnceError, match=rf"{TRANSFORMER}: do_lower_case is true, but the tokenizer keeps upper case"):
        started(tmp_path)


def test_a_model_that_compares_by_cosine_has_vectors_of_unit_length(start: Start, tmp_path: Path) -> None:
    start().save(tmp_path / "model")
    change(tmp_path / "model" / SETTINGS, similarity_fn_name="cosine")
    with pytest.raises(AnceError, match=r"compares by cosine .* similarity_fn_name.*: set model\.normalize: true$"):
        started(tmp_path / "model")
    assert not started(tmp_path / "model", projection_dim=16).layout.normalize, "vectors of a new head are others"

    started(tmp_path / "model", normalize=True).save(tmp_path / "saved")
    peer = SentenceTransformer(str(tmp_path / "model"), device="cpu")
    expected = peer.similarity(peer.encode(TEXTS), peer.encode(TEXTS)).numpy()
    for folder in ("model", "saved"):
        vectors = TextEncoder.load(tmp_path / folder).encode_texts(TEXTS, 32)
        np.testing.assert_allclose(vectors @ vectors.T, expected, atol=1e-5)
