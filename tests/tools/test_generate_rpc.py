from pathlib import Path

import pytest

from tools.generate_rpc import ROOT, generate, main

PROTOS = ROOT / "protos"


def test_the_committed_code_is_what_the_protos_generate() -> None:
    assert main(["--check"]) == 0


def test_a_changed_proto_is_drift_that_names_the_files_and_the_remedy(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    proto = tmp_path / "ance/v1/checkpoint.proto"
    proto.parent.mkdir(parents=True)
    text = (PROTOS / "ance/v1/checkpoint.proto").read_text()
    proto.write_text(text.replace("bool final = 7;", "bool final = 70;"))

    assert main(["--check", "--protos", str(tmp_path)]) == 1
    message = capsys.readouterr().err
    assert "checkpoint_pb2.py: differs from what the protos generate" in message
    assert "Run `python tools/generate_rpc.py`" in message


def test_a_missing_and_a_left_over_module_are_drift(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--output", str(tmp_path)]) == 0
    assert main(["--check", "--output", str(tmp_path)]) == 0
    (tmp_path / "checkpoint_pb2.pyi").rename(tmp_path / "status_pb2.pyi")

    assert main(["--check", "--output", str(tmp_path)]) == 1
    message = capsys.readouterr().err
    assert f"{tmp_path / 'checkpoint_pb2.pyi'}: missing" in message
    assert f"{tmp_path / 'status_pb2.pyi'}: no proto generates this" in message


def test_another_version_of_the_generators_is_not_drift(tmp_path: Path) -> None:
    main(["--output", str(tmp_path)])
    for module in tmp_path.glob("*.py"):
        text = module.read_text()
        text = text.replace("GRPC_GENERATED_VERSION = '1.", "GRPC_GENERATED_VERSION = '0.")
        module.write_text(text.replace("# Protobuf Python Version: ", "# Protobuf Python Version: 1"))

    assert main(["--check", "--output", str(tmp_path)]) == 0


def test_generated_modules_import_nothing_from_the_proto_package() -> None:
    for name, text in generate(PROTOS).items():
        assert "ance.v1 import" not in text, name
        assert "import ance.v1" not in text, name


def test_a_folder_without_protos_is_named(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=f"{tmp_path}/ance/v1: no .proto files"):
        generate(tmp_path)
