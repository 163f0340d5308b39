from pathlib import Path

import pytest

from tools.requirements import requirements

PROJECT = """
[project]
name = "search"
dependencies = ["numpy>=2"]
[project.optional-dependencies]
cpu = ["faiss-cpu"]
s3 = ["s3fs"]
demo = ["search[cpu,s3]", "model==1"]
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    path = tmp_path / "pyproject.toml"
    path.write_text(PROJECT)
    return path


def test_requirements_are_those_of_the_project_and_of_the_named_extras(project: Path) -> None:
    assert requirements(project, ["s3"]) == ["numpy>=2", "s3fs"]


def test_an_extra_of_extras_is_unpacked(project: Path) -> None:
    assert requirements(project, ["demo", "s3"]) == ["numpy>=2", "model==1", "s3fs", "faiss-cpu"]


def test_an_unknown_extra_is_named_with_those_there_are(project: Path) -> None:
    with pytest.raises(SystemExit, match=r"no extra gcs \(there are: cpu, demo, s3\)"):
        requirements(project, ["gcs"])


def test_the_dockerfile_asks_for_extras_that_exist() -> None:
    root = Path(__file__).resolve().parents[2]
    extras = {
        name
        for line in (root / "Dockerfile").read_text().splitlines()
        if line.startswith("ARG EXTRAS=")
        for name in line.removeprefix("ARG EXTRAS=").split(",")
    }
    assert requirements(root / "pyproject.toml", sorted(extras))
