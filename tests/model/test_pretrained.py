"""Checkpoints in the layouts in which they were released, against a plain forward pass of transformers."""

from __future__ import annotations

import json
import pickle
import shutil
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from sentence_transformers import SentenceTransformer
from torch import Tensor
from transformers import AutoModel, BertModel, DPRConfig, DPRContextEncoder, DPRQuestionEncoder

from ance.errors import AnceError
from ance.model.bi_encoder import BiEncoder
from tests.model.conftest import IDS, MASK, ModelFolder, Start, started

Write = Callable[[dict[str, Tensor], Path], None]


def as_safetensors(weights: dict[str, Tensor], folder: Path) -> None:
    save_file({name: tensor.contiguous() for name, tensor in weights.items()}, folder / "model.safetensors")


def as_torch(weights: dict[str, Tensor], folder: Path) -> None:
    torch.save(weights, folder / "pytorch_model.bin")


def checkpoint(weights: dict[str, Tensor]) -> dict[str, object]:
    """The state dict among other things, as DPR and ANCE's DPR keep it: the fields of their `CheckpointState`."""
    parameter = torch.nn.Parameter(torch.ones(2))
    parameter.grad = torch.ones(2)
    optimiser = torch.optim.AdamW([parameter])
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: 1 / (1 + step))
    optimiser.step()
    scheduler.step()
    return {
        "model_dict": OrderedDict(weights),
        "optimizer_dict": optimiser.state_dict(),
        "scheduler_dict": scheduler.state_dict(),
        "offset": 3,
        "epoch": 1,
        "encoder_params": {"do_lower_case": True, "encoder_model_type": "hf_bert", "pretrained_file": None},
    }


def as_checkpoint(weights: dict[str, Tensor], folder: Path) -> None:
    torch.save(checkpoint(weights), folder / "pytorch_model.bin")


def as_old_checkpoint(weights: dict[str, Tensor], folder: Path) -> None:
    """In the format of torch before 1.6, when DPR and ANCE were released."""
    torch.save(checkpoint(weights), folder / "pytorch_model.bin", _use_new_zipfile_serialization=False)


def without_weights(folder: Path, to: Path) -> Path:
    """Configuration and tokenizer."""
    shutil.copytree(folder, to, ignore=shutil.ignore_patterns("*.safetensors"))
    return to


def other_weights(folder: Path, seed: int) -> dict[str, Tensor]:
    """Weights of the same shapes as those of a folder."""
    generator = torch.Generator().manual_seed(seed)
    loaded = load_file(folder / "model.safetensors")
    return {name: tensor + 0.1 * torch.randn(tensor.shape, generator=generator) for name, tensor in loaded.items()}


@torch.no_grad()
def first_tokens(folder: Path, weights: dict[str, Tensor]) -> Tensor:
    model = AutoModel.from_pretrained(folder)
    model.load_state_dict(weights)
    vectors: Tensor = model(IDS, MASK).last_hidden_state[:, 0]
    return vectors


def within(module: str, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """By the names that weights have in a module around theirs."""
    return {f"{module}{name}": tensor for name, tensor in weights.items()}


def released_head() -> dict[str, Tensor]:
    """Weights of a head, by the names of the original ANCE."""
    shapes = {"embeddingHead.weight": (24, 24), "embeddingHead.bias": (24,), "norm.weight": (24,), "norm.bias": (24,)}
    generator = torch.Generator().manual_seed(2)
    return {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}


@pytest.mark.parametrize("write", [as_safetensors, as_torch])
@pytest.mark.parametrize("wrapper", ["", "module.", "ance_encoder.", "module.ance_encoder."])
@torch.no_grad()
def test_the_released_ance_has_its_encoder_and_its_head(
    model_folder: ModelFolder, tmp_path: Path, write: Write, wrapper: str
) -> None:
    source = model_folder("roberta")
    encoder, head = other_weights(source, 1), released_head()
    folder = without_weights(source, tmp_path / "ance")
    rest = {"classifier.dense.weight": torch.ones(24, 24)}  # it was a classifier by inheritance
    write(within(wrapper, within("roberta.", encoder) | head | rest), folder)

    linear, bias, scale, shift = head.values()
    expected = F.layer_norm(first_tokens(source, encoder) @ linear.T + bias, (24,), scale, shift, 1e-5)
    torch.testing.assert_close(started(folder, projection_dim=24, max_chunks=4)(IDS, MASK), expected)
    with pytest.raises(AnceError, match=r"has a head of width 24, .* set model\.projection_dim: 24"):
        started(folder)


def test_a_released_head_without_its_norm_is_named(model_folder: ModelFolder, tmp_path: Path) -> None:
    source = model_folder("roberta")
    folder = without_weights(source, tmp_path / "ance")
    head = {name: tensor for name, tensor in released_head().items() if not name.startswith("norm.")}
    as_torch(within("roberta.", other_weights(source, 1)) | head, folder)
    with pytest.raises(AnceError, match=r'ance: its head does not fit: .*Missing key.* "norm\.weight"'):
        started(folder, projection_dim=24)


def without_architecture(folder: Path) -> None:
    """A configuration as transformers 2.3 wrote it: of neither architecture nor special tokens."""
    path = folder / "config.json"
    later = {"model_type", "architectures", "pad_token_id", "bos_token_id", "eos_token_id", "transformers_version"}
    settings = {name: value for name, value in json.loads(path.read_text()).items() if name not in later}
    path.write_text(json.dumps(settings | {"output_past": True, "pruned_heads": {}, "is_decoder": False}))


@torch.no_grad()
def test_the_original_ance_does_not_name_its_architecture(model_folder: ModelFolder, tmp_path: Path) -> None:
    source = model_folder("roberta")
    folder = without_weights(source, tmp_path / "ance")
    as_torch(within("roberta.", other_weights(source, 1)) | released_head(), folder)
    expected = started(folder, projection_dim=24)(IDS, MASK)
    without_architecture(folder)
    model = started(folder, projection_dim=24)
    torch.testing.assert_close(model(IDS, MASK), expected, rtol=0, atol=0)
    model.save(tmp_path / "saved")
    assert json.loads((tmp_path / "saved" / "config.json").read_text())["model_type"] == "roberta"


@pytest.mark.parametrize("write", [as_safetensors, as_torch])
def test_any_other_model_must_name_its_architecture(model_folder: ModelFolder, tmp_path: Path, write: Write) -> None:
    folder = without_weights(model_folder("bert"), tmp_path / "old")
    write(other_weights(model_folder("bert"), 1), folder)
    without_architecture(folder)
    with pytest.raises(AnceError, match=r'old/config\.json: .* architecture: add it, e\.g\. "model_type": "bert"$'):
        started(folder)


@pytest.mark.parametrize("write", [as_safetensors, as_torch, as_checkpoint, as_old_checkpoint])
@pytest.mark.parametrize("wrapper", ["", "module."])
@torch.no_grad()
def test_one_state_dict_of_dpr_has_both_towers(
    model_folder: ModelFolder, tmp_path: Path, write: Write, wrapper: str
) -> None:
    source = model_folder("bert")
    question, context = other_weights(source, 1), other_weights(source, 2)
    folder = without_weights(source, tmp_path / "dpr")
    write(within(wrapper, within("question_model.", question) | within("ctx_model.", context)), folder)
    model = started(folder, shared=False)
    torch.testing.assert_close(model.queries(IDS, MASK), first_tokens(source, question))
    torch.testing.assert_close(model(IDS, MASK), first_tokens(source, context))
    with pytest.raises(AnceError, match=r"holds several encoders .*set model\.shared: false"):
        started(folder)


@torch.no_grad()
def test_dpr_of_transformers_is_a_folder_a_tower(model_folder: ModelFolder, tmp_path: Path) -> None:
    settings = BertModel.from_pretrained(model_folder("bert")).config.to_dict()
    config = DPRConfig(**{name: settings[name] for name in DPRConfig().to_dict() if name in settings}, projection_dim=0)
    vectors = {}
    for tower, kind, seed in (("query", DPRQuestionEncoder, 1), ("passage", DPRContextEncoder, 2)):
        torch.manual_seed(seed)
        encoder = kind(config).eval()
        shutil.copytree(
            model_folder("bert"), tmp_path / tower, ignore=shutil.ignore_patterns("*.safetensors", "config.json")
        )
        encoder.save_pretrained(tmp_path / tower)
        vectors[tower] = encoder(IDS, MASK).pooler_output
    model = started(tmp_path / "passage", query_name_or_path=str(tmp_path / "query"), shared=False)
    torch.testing.assert_close(model.queries(IDS, MASK), vectors["query"])
    torch.testing.assert_close(model(IDS, MASK), vectors["passage"])
    with pytest.raises(AnceError, match=r"holds 'question_encoder\.bert_model\.' alone.*model\.name_or_path"):
        started(tmp_path / "query", shared=False)
    with pytest.raises(AnceError, match=r"correct model\.query_name_or_path"):
        started(tmp_path / "passage", shared=False)


def test_a_released_model_is_saved_as_any_other(model_folder: ModelFolder, tmp_path: Path) -> None:
    folder = without_weights(model_folder("bert"), tmp_path / "old")
    as_torch(load_file(model_folder("bert") / "model.safetensors"), folder)
    model = started(folder, layers=2)
    model.save(tmp_path / "new")
    with torch.no_grad():
        torch.testing.assert_close(BiEncoder.load(tmp_path / "new")(IDS, MASK), model(IDS, MASK), rtol=0, atol=0)
    config = json.loads((tmp_path / "new" / "config.json").read_text())
    assert (config["architectures"], config["num_hidden_layers"]) == (["BertModel"], 2)


@pytest.mark.parametrize("write", [as_safetensors, as_torch])
@torch.no_grad()
def test_norms_may_have_the_names_of_tensorflow(model_folder: ModelFolder, tmp_path: Path, write: Write) -> None:
    weights = other_weights(model_folder("bert"), 1)
    folder = without_weights(model_folder("bert"), tmp_path / "old")
    renamed = {
        name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): tensor
        for name, tensor in weights.items()
    }
    assert sum(name.endswith((".gamma", ".beta")) for name in renamed) == 14
    write(renamed, folder)
    torch.testing.assert_close(started(folder)(IDS, MASK), first_tokens(model_folder("bert"), weights))


def test_a_pickle_of_more_than_tensors_is_never_run(model_folder: ModelFolder, tmp_path: Path) -> None:
    folder = without_weights(model_folder("bert"), tmp_path / "pickle")
    with (folder / "pytorch_model.bin").open("wb") as file:
        pickle.dump(SimpleNamespace(model_dict={}), file, protocol=2)
    with pytest.raises(AnceError, match="a pickle can run any code: save its state dict alone"):
        started(folder)
    torch.save(SimpleNamespace(model_dict={}), folder / "pytorch_model.bin")
    with pytest.raises(AnceError, match="a pickle can run any code"):
        started(folder)


@torch.no_grad()
def test_a_checkpoint_with_settings_of_a_class_is_refused_and_its_state_dict_alone_is_read(
    model_folder: ModelFolder, tmp_path: Path
) -> None:
    weights = other_weights(model_folder("bert"), 1)
    towers = within("question_model.", weights) | within("ctx_model.", weights)
    folder = without_weights(model_folder("bert"), tmp_path / "hydra")
    # Since Hydra, those of DPR's encoder are an object of OmegaConf.
    settings = {"do_lower_case": True, "encoder": SimpleNamespace(projection_dim=0)}
    torch.save(checkpoint(towers) | {"encoder_params": settings}, folder / "pytorch_model.bin")
    with pytest.raises(AnceError, match=r"holds more than tensors, .*: save its state dict alone"):
        started(folder, shared=False)
    as_torch(towers, folder)
    torch.testing.assert_close(started(folder, shared=False)(IDS, MASK), first_tokens(model_folder("bert"), weights))


def test_weights_that_are_missing_or_of_another_shape_are_named(model_folder: ModelFolder, tmp_path: Path) -> None:
    weights = load_file(model_folder("bert") / "model.safetensors")
    folder = without_weights(model_folder("bert"), tmp_path / "damaged")
    as_torch({name: tensor for name, tensor in weights.items() if "layer.2.output" not in name}, folder)
    with pytest.raises(AnceError, match=r"lack 4 of the encoder, e\.g\. encoder\.layer\.2\.output"):
        started(folder)
    as_torch(weights | {"embeddings.LayerNorm.weight": torch.ones(3)}, folder)
    with pytest.raises(AnceError, match=r"size mismatch for embeddings\.LayerNorm\.weight"):
        started(folder)
    as_torch({"some.weight": torch.ones(3)}, folder)
    with pytest.raises(AnceError, match=r"no weight of an encoder, .* among its 1 weights"):
        started(folder)


def test_a_seed_draws_the_same_head_on_any_layout(model_folder: ModelFolder, tmp_path: Path, start: Start) -> None:
    folder = without_weights(model_folder("bert"), tmp_path / "old")
    as_torch(load_file(model_folder("bert") / "model.safetensors"), folder)
    torch.manual_seed(1)
    drawn, usual = started(folder, projection_dim=16).head, start("bert", projection_dim=16).head
    assert drawn is not None and usual is not None
    torch.testing.assert_close(drawn.linear.weight, usual.linear.weight, rtol=0, atol=0)


def as_module(folder: Path) -> None:
    """The weights of a module or an encoder, as they were saved before there were safetensors."""
    as_torch(load_file(folder / "model.safetensors"), folder)
    (folder / "model.safetensors").unlink()


@torch.no_grad()
def test_modules_of_sentence_transformers_may_have_weights_of_torch(start: Start, tmp_path: Path) -> None:
    model = start(projection_dim=16)
    model.save(tmp_path)
    for folder in (tmp_path, tmp_path / "2_Dense", tmp_path / "3_LayerNorm"):
        as_module(folder)
    expected = model(IDS, MASK)
    torch.testing.assert_close(started(tmp_path, projection_dim=16)(IDS, MASK), expected, rtol=0, atol=0)
    torch.testing.assert_close(BiEncoder.load(tmp_path)(IDS, MASK), expected, rtol=0, atol=0)


def test_a_pickle_in_a_module_is_never_run(start: Start, tmp_path: Path) -> None:
    start(projection_dim=16).save(tmp_path)
    (tmp_path / "2_Dense" / "model.safetensors").unlink()
    with pytest.raises(AnceError, match=r"2_Dense: has neither model\.safetensors nor pytorch_model\.bin"):
        started(tmp_path, projection_dim=16)
    with (tmp_path / "2_Dense" / "pytorch_model.bin").open("wb") as file:
        pickle.dump(SimpleNamespace(), file, protocol=2)
    with pytest.raises(AnceError, match=r"2_Dense/pytorch_model\.bin: .* a pickle can run any code"):
        started(tmp_path, projection_dim=16)


def modules_of(folder: Path, change: Callable[[list[dict[str, object]]], list[dict[str, object]]]) -> None:
    """Change the list of modules of a sentence-transformers folder."""
    path = folder / "modules.json"
    path.write_text(json.dumps(change(json.loads(path.read_text()))))


def test_a_head_that_is_no_ance_head_is_never_left_out_in_silence(start: Start, tmp_path: Path) -> None:
    start(projection_dim=16).save(tmp_path)
    modules_of(tmp_path, lambda modules: modules[:3])
    with pytest.raises(
        AnceError, match=r"modules\.json: found Transformer, Pooling, Dense: only .*; use another model"
    ):
        started(tmp_path)
    modules_of(tmp_path, lambda modules: [*modules, modules[2]])
    with pytest.raises(AnceError, match=r"found Transformer, Pooling, Dense, Dense: a module may come once"):
        started(tmp_path)


@pytest.mark.parametrize(
    "changed",
    [
        {"activation_function": "torch.nn.modules.activation.Tanh"},
        {"bias": False},
        {"use_residual": True},
        {"module_input_name": "token_embeddings"},
    ],
    ids=str,
)
def test_a_dense_module_of_another_kind_is_named(start: Start, tmp_path: Path, changed: dict[str, object]) -> None:
    start(projection_dim=16).save(tmp_path)
    path = tmp_path / "2_Dense" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changed))
    with pytest.raises(
        AnceError, match=r"2_Dense: only a Dense module of the pooled vector, with a bias, no activation"
    ):
        started(tmp_path, projection_dim=16)


def test_weights_of_a_head_that_do_not_fit_are_named(start: Start, tmp_path: Path) -> None:
    start(projection_dim=16).save(tmp_path)
    as_safetensors({"linear.weight": torch.ones(16, 24), "linear.bias": torch.ones(16)}, tmp_path / "3_LayerNorm")
    with pytest.raises(AnceError, match=r"2_Dense and LayerNorm: expected .*norm\.bias; found linear\.bias, linear\."):
        started(tmp_path, projection_dim=16)
    as_safetensors({"norm.weight": torch.ones(16), "norm.bias": torch.ones(8)}, tmp_path / "3_LayerNorm")
    with pytest.raises(AnceError, match=r"its head does not fit: .*norm\.bias"):
        started(tmp_path, projection_dim=16)


def test_another_pooling_than_that_of_the_model_is_an_error(start: Start, tmp_path: Path) -> None:
    start(pooling="mean").save(tmp_path)
    with pytest.raises(AnceError, match=r"pools by 'mean' .*Pooling module.*: set model\.pooling: mean$"):
        started(tmp_path)
    assert started(tmp_path, pooling="mean").layout.pooling == "mean"


@torch.no_grad()
def test_unit_length_is_never_lost_in_silence(start: Start, tmp_path: Path) -> None:
    start(pooling="mean", normalize=True).save(tmp_path)
    with pytest.raises(AnceError, match=r"Normalize module.*: set model\.normalize: true$"):
        started(tmp_path, pooling="mean")
    vectors = started(tmp_path, pooling="mean", normalize=True)(IDS, MASK)
    torch.testing.assert_close(vectors.norm(dim=1), torch.ones(3))
    assert not started(tmp_path, pooling="mean", projection_dim=16).layout.normalize, "vectors of a new head are others"


def test_a_tower_of_a_folder_with_two_has_its_own_pooling(start: Start, tmp_path: Path) -> None:
    start(shared=False, pooling="mean").save(tmp_path)
    with pytest.raises(AnceError, match=r"pools by 'mean'"):
        started(tmp_path, shared=False)
    assert started(tmp_path, shared=False, pooling="mean").queries.layout.pooling == "mean"


@torch.no_grad()
def test_a_folder_that_sentence_transformers_saved_starts_a_model(start: Start, tmp_path: Path) -> None:
    start(pooling="mean", projection_dim=16, normalize=True).save(tmp_path / "ours")
    peer = SentenceTransformer(str(tmp_path / "ours"), device="cpu")
    peer[2].linear.weight.mul_(2)
    peer.save(str(tmp_path / "theirs"))
    model = started(tmp_path / "theirs", pooling="mean", projection_dim=16, normalize=True)
    expected = peer({"input_ids": IDS, "attention_mask": MASK})["sentence_embedding"]
    torch.testing.assert_close(model(IDS, MASK), expected)
