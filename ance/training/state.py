"""The part of a checkpoint that only the trainer needs, as safetensors and JSON: no pickle.

Batches, dropout and learning rate are pure functions of the step, so the step is the whole data cursor, the
whole schedule and the whole random state. With the weights and the optimiser's tensors, a resumed run is bit-exact,
and one that is resumed by another number of processes goes on with the same batches.
"""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, NonNegativeInt, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor
from torch.optim import Optimizer

from ance.errors import AnceError

STATE, OPTIMISER = "state.json", "optimiser.safetensors"


class TrainerState(BaseModel):
    """Where a run stands."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    step: NonNegativeInt
    """Optimiser steps done since the start of the run; also the number of the next step."""
    stage: Literal["warmup", "ance"]
    """Stage that the optimiser's tensors belong to."""
    negatives_step: NonNegativeInt | None = None
    """Version of the ANN negatives in use (None: none yet)."""
    optimizer: str = ""
    """Class of the optimiser whose tensors are saved; filled in by `save_state`."""


def save_state(folder: Path, state: TrainerState, optimiser: Optimizer) -> None:
    """Write `state` and the optimiser's tensors by parameter name into a folder.

    The optimiser must have been made with named parameters, as `build_optimiser` does.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {
        f"{name}.{key}": value.contiguous()
        for name, parameter in _named_parameters(optimiser).items()
        for key, value in optimiser.state.get(parameter, {}).items()
    }
    (folder / OPTIMISER).write_bytes(save(tensors))
    saved = state.model_copy(update={"optimizer": type(optimiser).__name__})
    (folder / STATE).write_text(saved.model_dump_json(indent=1) + "\n", encoding="utf-8")


def load_state(folder: Path, optimiser: Optimizer) -> TrainerState:
    """Restore the optimiser's tensors, and return where the run stands.

    Learning rates and other settings stay those of `optimiser`.

    Raises:
        AnceError: a file is missing or damaged, or of another optimiser or model; nothing was restored.
    """
    state = read_state(folder)
    if state.optimizer != type(optimiser).__name__:
        raise AnceError(
            f"{folder / STATE}: was written by the optimiser {state.optimizer}, this run uses"
            f" {type(optimiser).__name__}: restore the optimizer of training.{state.stage} or of training, or start"
            " a new run"
        )
    _restore_optimiser(folder / OPTIMISER, _read_tensors(folder / OPTIMISER), optimiser)
    return state


def read_state(folder: Path) -> TrainerState:
    """Only where the run stands: enough to decide what to load.

    Raises:
        AnceError: the file is missing or damaged.
    """
    path = folder / STATE
    try:
        return TrainerState.model_validate_json(path.read_bytes())
    except OSError as error:
        raise AnceError(f"{path}: cannot be read ({error.strerror}): is this a trainer's checkpoint?") from error
    except ValidationError as error:
        problem = error.errors()[0]
        raise AnceError(f"{path}: {problem['msg']}: use an earlier checkpoint") from error


def _named_parameters(optimiser: Optimizer) -> dict[str, Tensor]:
    """Parameters by name, in the order in which the optimiser numbers them."""
    return {
        name: parameter
        for group in optimiser.param_groups
        for name, parameter in zip(group["param_names"], group["params"], strict=True)
    }


def _read_tensors(path: Path) -> dict[str, Tensor]:
    try:
        return load(path.read_bytes())
    except (OSError, SafetensorError) as error:
        raise AnceError(f"{path}: cannot be read ({error}): use an earlier checkpoint") from error


def _restore_optimiser(path: Path, tensors: dict[str, Tensor], optimiser: Optimizer) -> None:
    parameters = _named_parameters(optimiser)
    numbers = {name: number for number, name in enumerate(parameters)}
    state: dict[int, dict[str, Tensor]] = {}
    for label, value in tensors.items():
        name, _, key = label.rpartition(".")
        if name not in parameters or (value.ndim and value.shape != parameters[name].shape):
            raise AnceError(
                f"{path}: '{label}' {tuple(value.shape)} fits no parameter of this model: the checkpoint is"
                " of another model; restore the model settings of its run.yaml"
            )
        state.setdefault(numbers[name], {})[key] = value
    # torch's own restore puts each tensor on its parameter's device.
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})
