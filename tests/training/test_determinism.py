import pytest
import torch

from ance.errors import AnceError
from ance.training.determinism import WORKSPACE, be_deterministic


@pytest.fixture(autouse=True)
def as_before():
    benchmark = torch.backends.cudnn.benchmark
    yield
    torch.use_deterministic_algorithms(False)
    torch.backends.cudnn.benchmark = benchmark


def test_an_algorithm_that_is_not_deterministic_is_refused_from_then_on(monkeypatch):
    monkeypatch.delenv(WORKSPACE, raising=False)
    values, rows = torch.zeros(4), torch.tensor([0, 0, 1])
    values.put_(rows, torch.ones(3))
    be_deterministic()
    assert torch.are_deterministic_algorithms_enabled()
    with pytest.raises(RuntimeError, match="deterministic"):
        values.put_(rows, torch.ones(3))


def test_a_workspace_that_spoils_it_is_refused_by_name(monkeypatch):
    monkeypatch.setenv(WORKSPACE, ":0:0")
    with pytest.raises(AnceError, match=f"{WORKSPACE} is ':0:0': unset it"):
        be_deterministic()
