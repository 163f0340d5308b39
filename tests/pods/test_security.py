from typing import Any

import pytest

from tests.pods.manifests import ManifestError
from tests.pods.security import Rights, Standard

RESTRICTED = {
    "runAsUser": 10001,
    "runAsNonRoot": True,
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
}


@pytest.mark.parametrize("standard", ["release", "restricted", "privileged"])
def test_what_asks_for_nothing_may_run_anywhere(standard: Standard) -> None:
    security = {**RESTRICTED, "readOnlyRootFilesystem": True, "runAsGroup": 7}
    assert Rights.of("main", security, standard) == Rights(uid=10001, gid=7, read_only=True)


def test_a_release_writes_to_no_root_file_system() -> None:
    assert not Rights.of("main", RESTRICTED, "restricted").read_only
    with pytest.raises(ManifestError, match="readOnlyRootFilesystem is None, not True"):
        Rights.of("main", RESTRICTED, "release")


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"runAsUser": 0}, "runs as user 0"),
        ({"runAsNonRoot": False}, "runAsNonRoot is False, not True"),
        ({"capabilities": {"drop": ["CHOWN"]}}, "capabilities is"),
    ],
)
def test_only_a_privileged_namespace_has_more(change: dict[str, Any], problem: str) -> None:
    security = RESTRICTED | change
    with pytest.raises(ManifestError, match=problem):
        Rights.of("main", security, "restricted")
    assert Rights.of("main", security, "privileged").uid == security["runAsUser"]
