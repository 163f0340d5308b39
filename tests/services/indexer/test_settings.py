"""What an indexer is told about scaling."""

from __future__ import annotations

import pytest

from ance.errors import AnceError
from ance.runtime.kubernetes.scaling import ScalingPolicy
from ance.runtime.settings import load
from services.indexer.progress import PassProgress
from services.indexer.settings import IndexerSettings
from services.indexer.wiring import open_scaler


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"STORE": "file:///x", "RUN": "demo", "SCALER_MIN": "1", "SCALER_MAX": "4"}.items():
        monkeypatch.setenv(f"ANCE_{name}", value)


def test_the_policy_is_what_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANCE_SCALER_TARGET_REFRESH_SECONDS", "900")
    assert load(IndexerSettings).scaling == ScalingPolicy(1, 4, 900.0, 300.0)


def test_bounds_in_the_wrong_order_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANCE_SCALER_MIN", "5")
    with pytest.raises(AnceError, match="ANCE_SCALER_MIN=5 is more than ANCE_SCALER_MAX=4"):
        load(IndexerSettings)


def test_a_scaler_outside_of_kubernetes_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    assert open_scaler(load(IndexerSettings), None, PassProgress()) is None
    monkeypatch.setenv("ANCE_SCALER_DEPLOYMENT", "ance-inferencer")
    with pytest.raises(AnceError, match="ANCE_SCALER_DEPLOYMENT needs ANCE_KUBERNETES=true"):
        open_scaler(load(IndexerSettings), None, PassProgress())
