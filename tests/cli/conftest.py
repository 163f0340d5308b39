"""The `ance` command inside the test's own process, and a small prepared store."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ance.cli.main import main
from ance.cli.prepare import prepare_dataset
from ance.runtime.contracts import ArtifactRef
from tests.system.tiny import config, write_beir, write_config, write_encoder


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    status: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """The one line on stderr that a user's error is, without its beginning."""
        assert self.status == 2, self
        assert self.err.startswith("ance: error: ") and self.err.count("\n") == 1, self.err
        return self.err.removeprefix("ance: error: ").rstrip()


Ance = Callable[..., Ended]


@pytest.fixture
def ance(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Ance:
    """Runs the command with these arguments to its end."""

    def run(*arguments: str | Path) -> Ended:
        monkeypatch.setattr(sys, "argv", ["ance", *map(str, arguments)])
        capfd.readouterr()
        try:
            main()
            status = 0
        except SystemExit as end:
            status = int(end.code or 0)
        return Ended(status, *capfd.readouterr())

    return run


@dataclass(frozen=True)
class Salad:
    """The store with the data set `salad`, and what it was made from."""

    folder: Path
    store: str
    encoder: Path
    beir: Path

    def config(self, path: Path, **changes: Any) -> Path:
        """A run's configuration in a file."""
        return write_config(path, config(self.encoder, **changes))


@pytest.fixture(scope="session")
def salad(tmp_path_factory: pytest.TempPathFactory) -> Salad:
    """Prepared once; runs in it have names of their own."""
    folder = tmp_path_factory.mktemp("salad")
    encoder, beir = write_encoder(folder / "encoder"), write_beir(folder / "beir")
    store = f"file://{folder / 'store'}"
    prepare_dataset(f"beir:{beir}", store, str(encoder), name="salad")
    return Salad(folder, store, encoder, beir)


def ref(step: int, *, final: bool) -> ArtifactRef:
    """What a pointer names; the artifact itself is not there."""
    return ArtifactRef(
        step=step,
        manifest_uri=f"runs/demo/indexes/{step}/manifest.json",
        manifest_sha256="0" * 64,
        created_at=0.0,
        fencing_token=1,
        final=final,
    )
