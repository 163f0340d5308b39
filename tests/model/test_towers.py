"""Two towers: one encoder of queries, another of passages."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer

from ance.data.ragged import Ragged
from ance.data.tokenizer import SpecialTokens
from ance.errors import AnceError
from ance.model.bi_encoder import BiEncoder
from ance.model.config import ModelConfig
from ance.model.encoding import TextEncoder
from ance.model.layer_groups import layer_groups
from tests.model.conftest import TEXTS, ModelFolder, Start

SPECIAL = SpecialTokens((1,), (2,), 0)


def trained(model: BiEncoder) -> BiEncoder:
    """As training leaves towers: different."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for weights in model.parameters():
            weights.add_(0.1 * torch.randn(weights.shape, generator=generator))
    return model


@pytest.mark.parametrize("kind", ["bert", "distilbert"])
@pytest.mark.parametrize("head", [{}, {"projection_dim": 16}, {"pooling": "mean", "normalize": True}], ids=str)
def test_sentence_transformers_gives_each_tower_its_texts(
    start: Start, tmp_path: Path, kind: str, head: dict[str, object]
) -> None:
    trained(start(kind, shared=False, layers=2, **head)).save(tmp_path)
    ours, peer = TextEncoder.load(tmp_path), SentenceTransformer(str(tmp_path), device="cpu")
    as_queries, as_passages = ours.queries.encode_texts(TEXTS, 16), ours.encode_texts(TEXTS, 32)
    np.testing.assert_allclose(as_queries, peer.encode_query(TEXTS), atol=1e-5)
    np.testing.assert_allclose(as_passages, peer.encode_document(TEXTS), atol=1e-5)
    np.testing.assert_allclose(as_passages, peer.encode(TEXTS), atol=1e-5)  # unless told otherwise, a text is a passage
    assert np.abs(as_queries - ours.encode_texts(TEXTS, 16)).max() > 1e-3
    assert peer.similarity_fn_name == "dot"


def test_one_of_two_towers_is_never_left_out_in_silence(start: Start, tmp_path: Path) -> None:
    model = trained(start(shared=False))
    model.save(tmp_path)
    limits = {"name_or_path": str(tmp_path), "max_query_tokens": 16, "max_passage_tokens": 32}
    with pytest.raises(AnceError, match=r"one encoder of queries, one of passages: set model\.shared: false"):
        BiEncoder.start(ModelConfig.model_validate(limits))
    started = BiEncoder.start(ModelConfig.model_validate(limits | {"shared": False})).state_dict()
    for name, weights in model.state_dict().items():
        torch.testing.assert_close(started[name], weights, rtol=0, atol=0)


def test_each_tower_is_a_sentence_transformers_folder_of_its_own(start: Start, tmp_path: Path) -> None:
    trained(start(shared=False)).save(tmp_path)
    peer = SentenceTransformer(str(tmp_path / "query"), device="cpu")
    np.testing.assert_allclose(
        TextEncoder.load(tmp_path).queries.encode_texts(TEXTS, 16), peer.encode(TEXTS), atol=1e-5
    )


def test_a_router_that_sentence_transformers_has_saved_is_read(start: Start, tmp_path: Path) -> None:
    trained(start(shared=False, projection_dim=16)).save(tmp_path / "ours")
    SentenceTransformer(str(tmp_path / "ours"), device="cpu").save(str(tmp_path / "theirs"))
    ours, theirs = TextEncoder.load(tmp_path / "ours"), TextEncoder.load(tmp_path / "theirs")
    for one, other in ((ours, theirs), (ours.queries, theirs.queries)):
        np.testing.assert_allclose(one.encode_texts(TEXTS, 16), other.encode_texts(TEXTS, 16), atol=1e-5)


def test_a_saved_model_has_both_towers_bit_for_bit(start: Start, tmp_path: Path) -> None:
    model = trained(start(shared=False, projection_dim=16))
    model.save(tmp_path)
    loaded = BiEncoder.load(tmp_path).state_dict()
    assert loaded.keys() == model.state_dict().keys()
    for name, weights in model.state_dict().items():
        torch.testing.assert_close(loaded[name], weights, rtol=0, atol=0)


def test_towers_begin_alike_with_new_heads_too(start: Start) -> None:
    model = start(shared=False, projection_dim=16)
    assert model.query_tower is not None
    own = {name: weights for name, weights in model.state_dict().items() if not name.startswith("query_tower.")}
    assert own.keys() == model.query_tower.state_dict().keys()
    for name, weights in model.query_tower.state_dict().items():
        torch.testing.assert_close(weights, own[name], rtol=0, atol=0)
        assert weights.data_ptr() != own[name].data_ptr()


def test_a_shared_encoder_has_the_weights_that_it_always_had(start: Start) -> None:
    model = start(projection_dim=16)
    assert model.queries is model
    assert {name.split(".")[0] for name in model.state_dict()} == {"backbone", "head"}


def test_the_towers_may_start_from_two_folders(model_folder: ModelFolder) -> None:
    folders = {"name_or_path": str(model_folder("bert")), "query_name_or_path": str(model_folder("distilbert"))}
    limits = {"max_query_tokens": 16, "max_passage_tokens": 32, "shared": False}
    model = BiEncoder.start(ModelConfig.model_validate(folders | limits))
    assert type(model.backbone).__name__ == "BertModel"
    assert type(model.queries.backbone).__name__ == "DistilBertModel"
    assert (model.queries.layout.max_tokens, model.layout.max_tokens) == (16, 32)


def test_towers_of_two_widths_are_refused(start: Start) -> None:
    narrow = start(projection_dim=16)
    wide = start()
    with pytest.raises(AnceError, match="queries have 16 dimensions, those of passages 24"):
        BiEncoder(wide.backbone, tokenizer_path=wide.tokenizer_path, query_tower=narrow)


def test_a_tower_of_queries_without_two_towers_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="set shared: false"):
        ModelConfig(name_or_path="a", query_name_or_path="b")


@pytest.mark.parametrize("kind", ["bert", "distilbert"])
def test_an_encoder_copies_each_tower_once(start: Start, tokens: Ragged, kind: str) -> None:
    model = trained(start(kind, shared=False))
    encoder = TextEncoder(model, SPECIAL)
    for tower, forward in ((model, encoder), (model.queries, encoder.queries)):
        expected = TextEncoder(
            BiEncoder(tower.backbone, pooling=tower.layout.pooling, tokenizer_path=tower.tokenizer_path), SPECIAL
        )
        np.testing.assert_array_equal(forward.encode_rows(tokens, 0, 9, 32), expected.encode_rows(tokens, 0, 9, 32))
        if kind == "distilbert":
            assert forward._forward._model.query_tower is None  # type: ignore[union-attr]


def test_every_weight_of_both_towers_is_in_one_layer_group(start: Start) -> None:
    model = start(shared=False, projection_dim=16)
    groups = layer_groups(model)
    names = ["embeddings", "bottom", "middle", "top", "head"]
    assert list(groups) == [f"{tower}.{name}" for tower in ("query", "passage") for name in names]
    grouped = [id(weights) for group in groups.values() for weights in group]
    assert sorted(grouped) == sorted(id(weights) for weights in model.parameters())
    assert model.query_tower is not None
    assert {id(weights) for weights in model.query_tower.parameters()} == {
        id(weights) for name, group in groups.items() if name.startswith("query.") for weights in group
    }
