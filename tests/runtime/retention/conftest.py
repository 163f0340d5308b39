"""A store, and one with a version that retention does not need."""

from __future__ import annotations

from pathlib import Path

import pytest

from ance.runtime.contracts import Kind
from ance.runtime.store import Store
from tests.runtime.retention.versions import put


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(str(tmp_path / "store"), create=True, retry_seconds=0)


@pytest.fixture
def two_checkpoints(store: Store, tmp_path: Path) -> Store:
    """Of which retention needs only the newer one, 200."""
    for step in (100, 200):
        put(store, tmp_path, Kind.CHECKPOINT, step, "checkpoint")
    return store
