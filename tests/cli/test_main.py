"""What a user can get wrong is one line that names it, exit status 2, and no traceback."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from ance.cli.stack import free_port
from tests.cli.conftest import Ance, Salad
from tests.system.tiny import config

HEAVY = ("torch", "transformers", "faiss", "bm25s", "numpy", "redis", "grpc")


def test_the_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; sys.argv = ['ance', '--help']\n"
        "from ance.cli.main import main\n"
        "try: main()\n"
        f"finally: print([name for name in {HEAVY} if name in sys.modules], file=sys.stderr)"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "prepare" in ended.stdout and "demo" in ended.stdout
    assert ended.stderr.strip() == "[]"


def test_a_users_error_leaves_the_process_with_status_2_and_no_traceback(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "ance.cli", "up", "--config", tmp_path / "run.yaml", "--store", tmp_path],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == f"ance: error: {tmp_path}/run.yaml: the configuration can't be read: {os.strerror(2)}\n"


def test_an_unknown_key_is_named(ance: Ance, salad: Salad, tmp_path: Path) -> None:
    settings = salad.config(tmp_path / "run.yaml", colour="green")
    error = ance("up", "--config", settings, "--store", salad.store).error
    assert error.startswith(f"{settings}: unknown key 'colour'")


def test_a_negative_learning_rate_is_refused_by_its_dotted_key(ance: Ance, salad: Salad, tmp_path: Path) -> None:
    values = config(salad.encoder)
    values["training"]["warmup"]["learning_rate"] = -1e-3
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(values))
    error = ance("up", "--config", tmp_path / "run.yaml", "--store", salad.store).error
    assert "'training.warmup.learning_rate'" in error and "-0.001" in error


@pytest.mark.parametrize("text", ["run: [", "- a list", "just words", ""])
@pytest.mark.parametrize("command", ["up", "warmup", "demo"])
def test_a_file_that_is_no_configuration_is_named(ance: Ance, tmp_path: Path, command: str, text: str) -> None:
    (tmp_path / "run.yaml").write_text(text)
    where = ("--folder", tmp_path / "demo") if command == "demo" else ("--store", tmp_path)
    assert ance(command, "--config", tmp_path / "run.yaml", *where).error.startswith(f"{tmp_path}/run.yaml: ")


def test_a_configuration_that_is_no_text_is_named(ance: Ance, tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_bytes(b"\xff\xfe\x00")
    assert "not a UTF-8 text" in ance("up", "--config", tmp_path / "run.yaml", "--store", tmp_path).error


def test_a_missing_data_set_comes_with_the_command_that_makes_it(ance: Ance, salad: Salad, tmp_path: Path) -> None:
    settings = salad.config(tmp_path / "run.yaml", dataset="soup")
    error = ance("up", "--config", settings, "--store", salad.store).error
    assert "dataset 'soup' is not in" in error and "ance prepare" in error and "--name soup" in error


def test_a_data_set_without_training_queries_is_refused(ance: Ance, salad: Salad, tmp_path: Path) -> None:
    beir = tmp_path / "beir"
    (beir / "qrels").mkdir(parents=True)
    for name in ("corpus.jsonl", "queries.jsonl", "qrels/test.tsv"):
        (beir / name).symlink_to(salad.beir / name)
    source = ("--dataset", f"beir:{beir}", "--model", salad.encoder)
    assert ance("prepare", *source, "--store", salad.store, "--name", "untrained").status == 0
    settings = salad.config(tmp_path / "run.yaml", dataset="untrained")
    error = ance("up", "--config", settings, "--store", salad.store).error
    assert "dataset 'untrained' has no train split, only: test" in error


def test_a_run_name_that_was_used_with_another_configuration_is_refused(
    ance: Ance, salad: Salad, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:  # so that the first start ends once the run exists
        port = str(taken.getsockname()[1])
        first = salad.config(tmp_path / "first.yaml", run="used")
        assert "is taken" in ance("up", "--config", first, "--store", salad.store, "--port", port).error
    other = salad.config(tmp_path / "other.yaml", run="used", retention={"keep": 9})
    error = ance("up", "--config", other, "--store", salad.store).error
    assert "run 'used' exists" in error and "with another configuration" in error and "key 'run'" in error


def test_a_taken_port_is_named_with_what_to_do(ance: Ance, salad: Salad, tmp_path: Path) -> None:
    settings = salad.config(tmp_path / "run.yaml", run="port")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        error = ance("up", "--config", settings, "--store", salad.store, "--port", str(port)).error
    assert error == f"port {port} on 127.0.0.1 is taken by another program: stop it or choose another with --port"


def test_a_store_below_a_file_is_refused(ance: Ance, salad: Salad, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    store = f"file://{tmp_path}/file/store"
    settings = salad.config(tmp_path / "run.yaml")
    assert store in ance("up", "--config", settings, "--store", store).error
    source = ("--dataset", f"beir:{salad.beir}", "--model", salad.encoder)
    assert store in ance("prepare", *source, "--store", store).error


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_store_without_permission_to_write_is_refused(ance: Ance, salad: Salad, tmp_path: Path) -> None:
    (tmp_path / "store").mkdir(mode=0o555)
    settings = salad.config(tmp_path / "run.yaml")
    assert "Permission denied" in ance("up", "--config", settings, "--store", tmp_path / "store").error


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a file system that nobody can write")
def test_a_store_that_not_even_root_can_write_is_refused(ance: Ance, salad: Salad, tmp_path: Path) -> None:
    settings = salad.config(tmp_path / "run.yaml")
    assert "/proc/self" in ance("up", "--config", settings, "--store", "file:///proc/self").error


def test_a_folder_for_logs_that_cannot_be_made_is_named(ance: Ance, salad: Salad, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    settings = salad.config(tmp_path / "run.yaml", run="logs")
    arguments = ("up", "--config", settings, "--store", salad.store, "--port", str(free_port()))
    assert str(tmp_path / "file/x") in ance(*arguments, "--folder", tmp_path / "file/x").error


def test_an_unknown_kind_of_data_set_comes_with_the_known_ones(ance: Ance, tmp_path: Path) -> None:
    error = ance("prepare", "--dataset", "excel:a.xls", "--store", tmp_path).error
    assert "'excel:a.xls'" in error and "beir:FOLDER" in error and "ir_datasets:ID" in error


def test_a_benchmark_that_is_none_comes_with_those_there_are(ance: Ance) -> None:
    assert "no benchmark is named 'speed'" in ance("bench", "speed").error


def test_a_run_that_does_not_exist_cannot_be_scored(ance: Ance, salad: Salad) -> None:
    assert "runs/nothing/run.yaml: no such run" in ance("eval", "--store", salad.store, "--run", "nothing").error
