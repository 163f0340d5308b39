"""A prepared store that every test of whole runs copies nothing from: runs have names of their own."""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from ance.cli.stack import free_port
from tests.collector import Collector, collector
from tests.system.tiny import config, write_beir, write_config, write_encoder

COMMAND = (sys.executable, "-m", "ance.cli")


@dataclass(frozen=True)
class Prepared:
    """A store with the data set `salad`, and the encoder whose tokenizer it has."""

    folder: Path
    encoder: Path
    store: str


def ance(*arguments: str | Path, timeout: float = 60) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    return subprocess.run(
        [*COMMAND, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
    )


def start_ance(arguments: Sequence[str | Path], log: Path, **environment: str) -> subprocess.Popen[bytes]:
    """Start the command; its output goes to a file, so that it never blocks on a full pipe."""
    with log.open("wb") as output:
        return subprocess.Popen(
            [*COMMAND, *map(str, arguments)],
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, "HF_HUB_OFFLINE": "1", **environment},
        )


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    folder = tmp_path_factory.mktemp("system")
    encoder, beir = write_encoder(folder / "encoder"), write_beir(folder / "beir")
    store = f"file://{folder / 'store'}"
    prepared = ance("prepare", "--dataset", f"beir:{beir}", "--store", store, "--name", "salad", "--model", encoder)
    assert prepared.returncode == 0, prepared.stderr
    return Prepared(folder, encoder, store)


@pytest.fixture(scope="session")
def traces() -> Iterator[Collector]:
    """What the services of `finished_run` sent."""
    with collector() as running:
        yield running


@pytest.fixture(scope="session")
def finished_run(prepared: Prepared, traces: Collector, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Id of a run of five warm-up and five ANCE steps that has ended by itself; tests leave it as it is."""
    folder = tmp_path_factory.mktemp("finished")
    values = config(prepared.encoder, run="scored")
    values["training"] |= {
        "warmup": values["training"]["warmup"] | {"steps": 5},
        "ance": values["training"]["ance"] | {"steps": 5},
    }
    log = folder / "up.log"
    up = start_ance(
        [
            *("up", "--config", write_config(folder / "run.yaml", values), "--store", prepared.store),
            *("--folder", folder / "local", "--port", str(free_port()), "--exit", "--inferencers", "2"),
        ],
        log,
        OTEL_EXPORTER_OTLP_ENDPOINT=traces.url,
    )
    assert up.wait(120) == 0, log.read_text()
    return "scored"
