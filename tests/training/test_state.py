import json
import math

import pytest
import torch

from ance.errors import AnceError
from ance.training.config import StageConfig
from ance.training.optimisers import build_optimiser
from ance.training.schedule import learning_rate
from ance.training.state import TrainerState, load_state, read_state, save_state
from ance.training.step import TrainingStep

STAGE = StageConfig(steps=6, learning_rate=3e-3, lr_warmup_steps=2, negatives="random")
OPTIMISERS = pytest.mark.parametrize("optimizer", ["adamw", "lamb"])


@pytest.fixture
def run(texts, configured, stream, negatives):
    """Runs some steps of the stage and returns their losses."""

    def steps(model, optimiser, optimizer, numbers):
        step = TrainingStep(model, optimiser, texts, configured(optimizer=optimizer))
        return [
            step.run(n, stream.batch(n, negatives), loss="in_batch", learning_rate=learning_rate(STAGE, n)).loss
            for n in numbers
        ]

    return steps


@pytest.fixture
def new_optimiser(configured):
    return lambda model, optimizer: build_optimiser(model, configured(optimizer=optimizer), 1.0)


@OPTIMISERS
def test_a_resumed_run_is_bit_for_bit_the_run_without_interruption(tmp_path, new_model, new_optimiser, run, optimizer):
    model = new_model()
    expected = run(model, new_optimiser(model, optimizer), optimizer, range(6))

    first = new_model()
    optimiser = new_optimiser(first, optimizer)
    losses = run(first, optimiser, optimizer, range(3))
    save_state(tmp_path, TrainerState(step=3, stage="ance", negatives_step=2), optimiser)
    weights = {name: value.clone() for name, value in first.state_dict().items()}

    second = new_model()
    second.load_state_dict(weights)
    optimiser = new_optimiser(second, optimizer)
    torch.manual_seed(999)  # a new process starts with other random numbers
    state = load_state(tmp_path, optimiser)
    losses += run(second, optimiser, optimizer, range(state.step, 6))

    assert losses == expected
    for name, value in second.state_dict().items():
        assert torch.equal(value, model.state_dict()[name]), name


def test_without_the_saved_state_the_same_weights_go_another_way(new_model, new_optimiser, run):
    whole, cut = new_model(), new_model()
    expected = run(whole, new_optimiser(whole, "adamw"), "adamw", range(6))
    torch.manual_seed(7)
    for numbers in (range(3), range(3, 6)):
        losses = run(cut, new_optimiser(cut, "adamw"), "adamw", numbers)
    assert not math.isclose(losses[-1], expected[-1])


@OPTIMISERS
def test_what_is_saved_is_json_and_safetensors_by_parameter_name(tmp_path, new_model, new_optimiser, run, optimizer):
    from safetensors.torch import load_file

    model = new_model()
    optimiser = new_optimiser(model, optimizer)
    run(model, optimiser, optimizer, range(1))
    save_state(tmp_path / "trainer_state", TrainerState(step=1, stage="warmup"), optimiser)
    folder = tmp_path / "trainer_state"
    assert {path.name for path in folder.iterdir()} == {
        "state.json",
        "optimiser.safetensors",
    }
    assert json.loads((folder / "state.json").read_text())["step"] == 1
    named = {label.rpartition(".")[0] for label in load_file(folder / "optimiser.safetensors")}
    assert named == {name for name, _ in model.named_parameters()}


def test_where_the_run_stands_comes_back_as_it_was(tmp_path, new_model, new_optimiser):
    optimiser = new_optimiser(new_model(), "lamb")
    save_state(tmp_path, TrainerState(step=40, stage="ance", negatives_step=30), optimiser)
    expected = TrainerState(step=40, stage="ance", negatives_step=30, optimizer="Lamb")
    assert read_state(tmp_path) == load_state(tmp_path, optimiser) == expected


def test_a_state_of_another_optimiser_is_refused(tmp_path, new_model, new_optimiser):
    model = new_model()
    save_state(tmp_path, TrainerState(step=1, stage="ance"), new_optimiser(model, "lamb"))
    with pytest.raises(AnceError, match=r"written by the optimiser Lamb, this run uses AdamW"):
        load_state(tmp_path, new_optimiser(model, "adamw"))


def test_a_state_of_another_model_is_refused_and_names_the_tensor(tmp_path, new_model, new_optimiser, run):
    model = new_model()
    optimiser = new_optimiser(model, "lamb")
    run(model, optimiser, "lamb", range(1))
    save_state(tmp_path, TrainerState(step=1, stage="ance"), optimiser)
    other = new_model()
    other.head.linear = torch.nn.Linear(16, 4)
    with pytest.raises(AnceError, match=r"'head\.linear\.\w+\.exp_avg\w*'.*another model"):
        load_state(tmp_path, new_optimiser(other, "lamb"))


@pytest.mark.parametrize("name", ["state.json", "optimiser.safetensors"])
def test_a_missing_or_damaged_file_is_named(tmp_path, new_model, new_optimiser, name):
    optimiser = new_optimiser(new_model(), "lamb")
    save_state(tmp_path, TrainerState(step=1, stage="ance"), optimiser)
    (tmp_path / name).write_bytes(b"{")
    with pytest.raises(AnceError, match=name):
        load_state(tmp_path, optimiser)
    (tmp_path / name).unlink()
    with pytest.raises(AnceError, match=name):
        load_state(tmp_path, optimiser)
