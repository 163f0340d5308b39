"""What a container may do on its node."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from tests.pods.manifests import ManifestError

Standard = Literal["release", "restricted", "privileged"]
"""`release`: restricted Pod Security and a read-only root file system, as the chart has it everywhere. The others are
those of namespaces, whose pods the API server has judged."""
WANTED = {
    "allowPrivilegeEscalation": False,
    "runAsNonRoot": True,
    "capabilities": {"drop": ["ALL"]},
}


@dataclass(frozen=True, slots=True)
class Rights:
    """As whom a container runs, and whether it writes to its root file system."""

    uid: int
    gid: int
    read_only: bool

    @classmethod
    def of(cls, container: str, security: Mapping[str, Any], standard: Standard) -> Rights:
        """Rights that a security context gives.

        Args:
            container: its name.
            security: its context, with what it has from its pod and its image.
            standard: that it is held to.

        Raises:
            ManifestError: the container asks for more.
        """
        wanted: dict[str, Any] = {} if standard == "privileged" else WANTED
        if standard == "release":
            wanted = wanted | {"readOnlyRootFilesystem": True}
        for key, value in wanted.items():
            if security.get(key) != value:
                raise ManifestError(f"container {container}: securityContext.{key} is {security.get(key)}, not {value}")
        uid = security["runAsUser"] or 0
        if uid == 0 and standard != "privileged":
            raise ManifestError(f"container {container} runs as user {security['runAsUser']}")
        return cls(int(uid), int(security.get("runAsGroup", uid)), bool(security.get("readOnlyRootFilesystem")))
