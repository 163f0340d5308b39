"""The cross-encoder, against transformers and the sentence-transformers package."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import sentence_transformers
import torch

from ance.errors import AnceError
from ance.model.cross_encoder import CrossEncoder
from ance.model.encoding import EncodingStopped
from tests.model.conftest import TEXTS, WORDS, ModelFolder
from tests.system.tiny import write_encoder

QUERY = "word3 word17 word52"
PASSAGES = [text.strip() or WORDS[0] for text in TEXTS]
MAX_TOKENS = 24
"""The longest passages are cut."""

Saved = Callable[[str], Path]


def started(folder: Path, **arguments: int) -> CrossEncoder:
    """A model whose scores differ from passage to passage: a fresh head makes nearly the same of all."""
    torch.manual_seed(3)
    model = CrossEncoder.start(str(folder), **{"max_tokens": MAX_TOKENS} | arguments)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.3)
    return model


@pytest.fixture(scope="module")
def with_segments(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT whose tokenizer tells the two texts of a pair apart."""
    torch.manual_seed(0)
    return write_encoder(tmp_path_factory.mktemp("segments") / "encoder", WORDS)


@pytest.fixture(scope="module")
def saved(model_folder: ModelFolder, with_segments: Path, tmp_path_factory: pytest.TempPathFactory) -> Saved:
    made: dict[str, Path] = {}

    def folder(kind: str) -> Path:
        if kind not in made:
            made[kind] = tmp_path_factory.mktemp(f"cross-{kind}")
            started(with_segments if kind == "segments" else model_folder(kind)).save(made[kind])
        return made[kind]

    return folder


@pytest.mark.parametrize("kind", ["segments", "bert", "roberta", "distilbert"])
def test_sentence_transformers_loads_what_was_saved_and_gives_the_same_scores(saved: Saved, kind: str) -> None:
    ours = CrossEncoder.load(saved(kind)).score(QUERY, PASSAGES)
    theirs = sentence_transformers.CrossEncoder(str(saved(kind)), device="cpu").predict(
        [(QUERY, passage) for passage in PASSAGES], show_progress_bar=False
    )
    assert ours.dtype == np.float32
    assert np.ptp(ours) > 0.05, "scores that hardly differ would prove little"
    np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_a_saved_model_scores_as_before_and_saves_the_same_bytes(
    model_folder: ModelFolder, saved: Saved, tmp_path: Path
) -> None:
    loaded = CrossEncoder.load(saved("bert"))
    # Not to the last bit: how a processor's kernels add depends on where weights lie in memory.
    before = started(model_folder("bert")).score(QUERY, PASSAGES)
    np.testing.assert_allclose(loaded.score(QUERY, PASSAGES), before, rtol=1e-5)
    loaded.save(tmp_path)
    for file in saved("bert").iterdir():
        assert (tmp_path / file.name).read_bytes() == file.read_bytes(), file.name


def test_a_score_does_not_depend_on_the_passages_beside_it(saved: Saved) -> None:
    model = CrossEncoder.load(saved("bert"), token_budget=60)  # two or three pairs a batch
    together = model.score(QUERY, PASSAGES)
    alone = np.concatenate([model.score(QUERY, [passage]) for passage in PASSAGES])
    np.testing.assert_allclose(together, alone, atol=1e-6)


def test_no_passage_gets_no_score(saved: Saved) -> None:
    assert CrossEncoder.load(saved("bert")).score(QUERY, []).shape == (0,)


def test_bfloat16_gives_nearly_the_same_scores_in_float32(saved: Saved) -> None:
    exact = CrossEncoder.load(saved("bert")).score(QUERY, PASSAGES)
    rounded = CrossEncoder.load(saved("bert"), dtype="bfloat16").score(QUERY, PASSAGES)
    assert rounded.dtype == np.float32
    np.testing.assert_allclose(rounded, exact, atol=0.3)
    assert (rounded != exact).any()


def test_a_pair_is_cut_where_the_model_was_trained_to_and_never_later(saved: Saved) -> None:
    assert CrossEncoder.load(saved("bert"), max_tokens=256).tokenizer.max_tokens == MAX_TOKENS
    assert CrossEncoder.load(saved("bert"), max_tokens=8).tokenizer.max_tokens == 8


def test_a_limit_beyond_the_models_positions_is_lowered_to_them(model_folder: ModelFolder) -> None:
    assert started(model_folder("roberta"), max_tokens=256).tokenizer.max_tokens == 38


def test_scoring_stops_between_batches_when_told_to(saved: Saved) -> None:
    model = CrossEncoder.load(saved("bert"), token_budget=30)
    asked: list[int] = []

    def stop() -> bool:
        asked.append(1)
        return len(asked) == 3

    with pytest.raises(EncodingStopped):
        model.score(QUERY, PASSAGES, should_stop=stop)
    assert len(asked) == 3


def test_only_the_first_layers_are_kept_when_asked(model_folder: ModelFolder) -> None:
    model = started(model_folder("bert"), layers=1)
    assert len(list(model.backbone.get_submodule("bert.encoder.layer").children())) == 1


def test_a_checkpoint_of_a_bi_encoder_is_a_start(start: Callable[..., object], tmp_path: Path) -> None:
    bi_encoder = start("bert")
    bi_encoder.save(tmp_path)  # type: ignore[attr-defined]
    model = CrossEncoder.start(str(tmp_path), max_tokens=MAX_TOKENS)
    words = "embeddings.word_embeddings.weight"
    assert torch.equal(
        model.backbone.get_parameter(f"bert.{words}"),
        bi_encoder.backbone.get_parameter(words),  # type: ignore[attr-defined]
    )


def test_an_encoder_without_a_head_is_no_cross_encoder(model_folder: ModelFolder) -> None:
    with pytest.raises(AnceError, match=r"no cross-encoder, it lacks 2 weights, e\.g\. classifier\.bias"):
        CrossEncoder.load(model_folder("bert"))


def test_a_head_of_several_logits_is_refused(saved: Saved, tmp_path: Path) -> None:
    for file in saved("bert").iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    from safetensors.torch import load_file, save_file

    weights = load_file(tmp_path / "model.safetensors")
    weights["classifier.weight"] = torch.zeros(3, 24)
    weights["classifier.bias"] = torch.zeros(3)
    save_file(weights, tmp_path / "model.safetensors")
    with pytest.raises(AnceError, match="cannot load a cross-encoder"):
        CrossEncoder.load(tmp_path)


def test_a_folder_that_is_no_model_is_named(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises(AnceError, match=f"{tmp_path}: cannot load a cross-encoder"):
        CrossEncoder.load(tmp_path)
