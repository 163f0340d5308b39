"""What `ance demo` does before and after its run; the run itself is a system test."""

import json
import shutil
import socket
from pathlib import Path

import pytest

from ance.cli.demo import own_config
from ance.cli.report import history
from ance.cli.stack import free_port
from ance.runtime.contracts import RunConfig
from ance.runtime.layout import RunLayout
from ance.runtime.store import Store
from tests.cli.conftest import Ance, Salad

SCORES = {"RR@10": 0.5, "nDCG@10": 0.5, "R@100": 0.5, "R@1000": 0.5}


@pytest.fixture
def finished(salad: Salad, tmp_path: Path) -> Path:
    """The folder of a demo that has made its report."""
    folder = tmp_path / "demo"
    shutil.copytree(salad.folder / "store" / "datasets", folder / "store" / "datasets")
    store = Store.open(f"file://{folder / 'store'}")
    scores = {"dataset": "salad", "split": "test", "queries": 24, "systems": {"ance": SCORES}}
    report = {**scores, **history(store, RunLayout("tiny")), "seconds": 12.0}
    (folder / "report.json").write_text(json.dumps(report))
    return folder


def test_the_run_calls_its_data_set_as_the_source_does(salad: Salad) -> None:
    assert RunConfig.parse(own_config(f"beir:{salad.beir}"), "demo.yaml").dataset == salad.beir.name


def test_a_taken_port_ends_it_before_any_work(ance: Ance, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        error = ance("demo", "--folder", tmp_path / "demo", "--port", str(port)).error
    assert f"port {port} on 127.0.0.1 is taken" in error
    assert not (tmp_path / "demo").exists()


def test_a_bad_configuration_ends_it_before_any_work(ance: Ance, salad: Salad, tmp_path: Path) -> None:
    settings = salad.config(tmp_path / "run.yaml", colour="green")
    assert "'colour'" in ance("demo", "--folder", tmp_path / "demo", "--config", settings).error
    assert not (tmp_path / "demo").exists()


def test_a_finished_demo_shows_its_report_again_and_says_how_to_start_afresh(
    ance: Ance, salad: Salad, tmp_path: Path, finished: Path
) -> None:
    settings = salad.config(tmp_path / "run.yaml")
    before = (finished / "report.json").read_bytes()
    port = str(free_port())
    ended = ance("demo", "--folder", finished, "--config", settings, "--port", port, "--exit")
    assert ended.status == 0, ended.err
    assert "datasets/salad is prepared already" in ended.out
    assert f"{finished} holds a finished demo" in ended.out and "Remove the folder to start afresh" in ended.out
    assert "0.5000" in ended.out and "12 s from start to report" in ended.out
    assert (finished / "report.json").read_bytes() == before
    assert not (finished / "logs").exists()


def test_a_demo_folder_of_another_configuration_is_refused(
    ance: Ance, salad: Salad, tmp_path: Path, finished: Path
) -> None:
    port = str(free_port())
    first = salad.config(tmp_path / "first.yaml")
    assert ance("demo", "--folder", finished, "--config", first, "--port", port, "--exit").status == 0
    other = salad.config(tmp_path / "other.yaml", retention={"keep": 9})
    error = ance("demo", "--folder", finished, "--config", other, "--port", port, "--exit").error
    assert "with another configuration" in error
