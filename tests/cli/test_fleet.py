"""Which processors the processes of this machine get."""

from pathlib import Path

import pytest
import torch

from ance.cli.fleet import VISIBLE, Device, Fleet, place, visible_gpus
from ance.errors import AnceError
from tests.cli.conftest import Ance, Salad

CPU = {"ANCE_DEVICE": "cpu"}


def gpu(names: str) -> dict[str, str]:
    return {"ANCE_DEVICE": "cuda", VISIBLE: names}


@pytest.fixture
def four_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    monkeypatch.delenv(VISIBLE, raising=False)


def test_on_cpus_nobody_is_given_a_gpu() -> None:
    assert place(Fleet(inferencers=2)) == (CPU, [CPU, CPU])


@pytest.mark.usefixtures("four_gpus")
@pytest.mark.parametrize(
    ("trainers", "inferencers", "training", "encoding"),
    [
        (1, 1, "0", "1"),
        (2, 2, "0,1", "23"),
        (1, 5, "0", "12312"),  # in turn
        (4, 2, "0,1,2,3", "01"),  # none is left
    ],
)
def test_trainers_have_a_gpu_each_and_inferencers_what_is_left(
    trainers: int, inferencers: int, training: str, encoding: str
) -> None:
    assert place(Fleet(inferencers, trainers, Device.CUDA)) == (gpu(training), [gpu(name) for name in encoding])


@pytest.mark.usefixtures("four_gpus")
def test_gpus_have_the_names_that_the_user_gave_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv(VISIBLE, "5,GPU-8932f937")
    assert visible_gpus() == ["5", "GPU-8932f937"]
    assert place(Fleet(device=Device.CUDA)) == (gpu("5"), [gpu("GPU-8932f937")])


@pytest.mark.usefixtures("four_gpus")
def test_trainers_never_share_a_gpu() -> None:
    with pytest.raises(AnceError, match=r"--trainers 5 with --device cuda: .* torch sees 4 on this machine"):
        place(Fleet(trainers=5, device=Device.CUDA))


@pytest.mark.parametrize("command", ["eval", "report", "probe", "reranker train", "up", "warmup", "demo", "reproduce"])
def test_every_command_that_computes_says_so_where_there_is_no_gpu(
    ance: Ance, salad: Salad, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    needed = {
        "up": ["--config", "run.yaml", "--store", salad.store],
        "warmup": ["--config", "run.yaml", "--store", salad.store],
        "demo": ["--folder", tmp_path],
        "reproduce": ["tldr"],
    }
    options = needed.get(command, ["--store", salad.store, "--run", "tiny"])
    assert "--device cuda: torch sees no GPU" in ance(*command.split(), *options, "--device", "cuda").error
    monkeypatch.setenv("ANCE_DEVICE", "cuda")
    assert "--device cuda: torch sees no GPU" in ance(*command.split(), *options).error
