import pytest

from tests.pods.images import ROOT, Images, instructions
from tests.pods.manifests import ManifestError

DOCKERFILE = """
ARG BASE_IMAGE=python
FROM ${BASE_IMAGE} AS base
# A comment.
ENV A=1 \\
    B="two words"
USER 10001:10001
FROM base AS other
ENV A=other
FROM base AS app
ENV A=2
WORKDIR /work
CMD ["ance", "--help"]
"""


def test_a_target_has_the_settings_of_the_stages_it_is_built_on() -> None:
    found = instructions(DOCKERFILE, "app")
    assert found.environment == {"A": "2", "B": "two words"}
    assert (found.user, found.working_dir, found.arguments) == (10001, "/work", ("ance", "--help"))


def test_an_unknown_target_is_named_with_those_there_are() -> None:
    with pytest.raises(ManifestError, match=r"no target gpu \(there are: base, other, app\)"):
        instructions(DOCKERFILE, "gpu")


@pytest.mark.parametrize("target", ["cpu", "gpu"])
def test_our_images_run_as_an_unprivileged_user_with_a_writable_home(target: str) -> None:
    found = instructions((ROOT / "Dockerfile").read_text(), target)
    assert found.user == 10001
    assert found.environment["HOME"] == "/tmp"
    assert found.environment["ANCE_CACHE_DIR"] == "/cache"


def test_the_gpu_image_computes_on_the_gpu() -> None:
    text = (ROOT / "Dockerfile").read_text()
    assert instructions(text, "gpu").environment["ANCE_DEVICE"] == "cuda"
    assert "ANCE_DEVICE" not in instructions(text, "cpu").environment


def test_images_are_known_by_repository_whatever_registry_and_tag() -> None:
    images = Images()
    ours = images.pull("registry.example:5000/team/ance:0.1.0-cpu")
    assert str(ROOT) in ours.folders
    assert images.pull("docker.io/library/redis:7.2@sha256:abc").arguments == ("redis-server",)
    with pytest.raises(ManifestError, match=r"image nginx:1 is unknown"):
        images.pull("nginx:1")
