"""Fixtures: a pod and an API server for it. A conftest imports what its tests use."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ance.runtime.kubernetes import messenger
from ance.runtime.kubernetes.client import Cluster, open_cluster
from tests.kubernetes_api.server import KubernetesApi


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine the first call of a kind, which imports its model, takes longer than a pod waits."""
    monkeypatch.setattr(messenger, "FLUSH_SECONDS", 30.0)


@pytest.fixture
def api() -> Iterator[KubernetesApi]:
    """An API server without objects."""
    server = KubernetesApi().start()
    yield server
    server.faults.seconds = 0
    if not server.is_away:
        server.stop()


@pytest.fixture
def cluster(api: KubernetesApi, tmp_path: Path) -> Iterator[Cluster]:
    """The connection of pod `encoder-0` to it."""
    opened = open_cluster(api.environment(tmp_path))
    yield opened
    opened.api.close()
