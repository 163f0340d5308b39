"""How many processes of this machine train and encode, and on which of its processors."""

import os
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, NamedTuple

import typer

from ance.errors import AnceError

VISIBLE = "CUDA_VISIBLE_DEVICES"


class Device(StrEnum):
    """A kind of processor."""

    CPU = "cpu"
    CUDA = "cuda"


def _at_hand(device: Device) -> Device:
    if device is Device.CUDA and not visible_gpus():
        raise AnceError("--device cuda: torch sees no GPU on this machine; leave it out (and ANCE_DEVICE) to use CPUs")
    return device


Inferencers = Annotated[int, typer.Option(min=1, help="Inferencer processes.")]
Trainers = Annotated[int, typer.Option(min=1, help="Trainer processes that share each batch (DDP).")]
WhereToRun = Annotated[
    Device,
    typer.Option(
        help="What to train and encode on. With cuda each trainer has a GPU of its own; inferencers take turns on the "
        "others, or on all where none is left.",
        envvar="ANCE_DEVICE",
        callback=_at_hand,
    ),
]
OnDevice = Annotated[Device, typer.Option(help="What the models run on.", envvar="ANCE_DEVICE", callback=_at_hand)]


@dataclass(frozen=True, slots=True)
class Fleet:
    """The processes that compute."""

    inferencers: int = 1
    trainers: int = 1
    device: Device = Device.CPU


class Placement(NamedTuple):
    """Environments that put processes on processors."""

    trainers: dict[str, str]
    """Of all of them: each takes the GPU with its number."""
    inferencers: list[dict[str, str]]


def place(fleet: Fleet) -> Placement:
    """Give the trainers a GPU each, and the inferencers what is left.

    Raises:
        AnceError: there are fewer GPUs than trainers.
    """
    if fleet.device is Device.CPU:
        return Placement(_on(fleet.device), [_on(fleet.device)] * fleet.inferencers)
    gpus = visible_gpus()
    if len(gpus) < fleet.trainers:
        raise AnceError(
            f"--trainers {fleet.trainers} with --device cuda: each trains on a GPU of its own, and torch sees "
            f"{len(gpus)} on this machine"
        )
    encoding = gpus[fleet.trainers :] or gpus
    return Placement(
        _on(fleet.device, *gpus[: fleet.trainers]),
        [_on(fleet.device, encoding[number % len(encoding)]) for number in range(fleet.inferencers)],
    )


def visible_gpus() -> list[str]:
    """Names of the GPUs that torch sees, as CUDA_VISIBLE_DEVICES takes them."""
    import torch

    count = torch.cuda.device_count()
    named = os.environ.get(VISIBLE)
    return [str(number) for number in range(count)] if named is None else named.split(",")[:count]


def _on(device: Device, *gpus: str) -> dict[str, str]:
    visible = {VISIBLE: ",".join(gpus)} if gpus else {}
    return {"ANCE_DEVICE": device.value, **visible}
