from collections.abc import Callable

import pytest

from tools.build_images import Build, command, find_engine, main, reference


def only(*engines: str) -> Callable[[str], bool]:
    return lambda engine: engine in engines


def test_the_first_engine_that_works_builds() -> None:
    assert find_engine(only("podman", "buildah")) == "podman"
    assert find_engine(only("buildah")) == "buildah"


def test_without_an_engine_the_message_names_those_that_would_do() -> None:
    with pytest.raises(SystemExit, match="none of docker, podman, buildah works"):
        find_engine(only())


def test_a_base_that_exists_on_this_machine_only_is_not_pulled() -> None:
    build = Build("cpu", "ance:1-cpu", ("BASE_IMAGE=localhost/base",), ("--volume", "/wheels:/wheels:ro"))
    assert command("buildah", build) == [
        *("buildah", "build", "--file", "Dockerfile", "--target", "cpu", "--tag", "ance:1-cpu", "--pull=false"),
        *("--build-arg", "BASE_IMAGE=localhost/base", "--volume", "/wheels:/wheels:ro", "."),
    ]
    assert "--pull=false" not in command("docker", build)


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ("ance", "ance:0.1.0-gpu"),
        ("registry.example:5000/team/ance", "registry.example:5000/team/ance:0.1.0-gpu"),
        ("registry.example:5000/team/ance:mine", "registry.example:5000/team/ance:mine"),
    ],
)
def test_the_tag_is_what_the_chart_expects_unless_one_is_given(image: str, expected: str) -> None:
    assert reference(image, "gpu", "0.1.0") == expected


def test_a_dry_run_prints_a_command_for_each_target(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--engine", "podman", "--dry-run", "--build-arg", "EXTRAS=demo", "--", "--no-cache"]) == 0
    cpu, gpu = capsys.readouterr().out.splitlines()
    assert "--target cpu" in cpu and "--target gpu" in gpu
    assert "--build-arg EXTRAS=demo" in cpu and cpu.endswith("--no-cache .")


def test_one_tag_cannot_name_two_images(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--engine", "podman", "--dry-run", "--image", "ance:mine"])
    assert "names one image, but targets are cpu, gpu" in capsys.readouterr().err
